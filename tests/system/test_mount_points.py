"""Real bind mounts of single files, as container tools make them."""

import json
import subprocess
import sys
from pathlib import Path

from tests.support.paths import ROOT

PROGRAM = """
import json, os, subprocess, sys
from failover_oneshot.lib import procfs

source, target, new = sys.argv[1:]
before = target in procfs.mount_points()
subprocess.run(["mount", "--bind", source, target], check=True)
error = 0
try:
    os.rename(new, target)
except OSError as failed:
    error = failed.errno
print(json.dumps([before, target in procfs.mount_points(), source in procfs.mount_points(), os.strerror(error)]))
"""


def test_a_bind_mounted_file_is_known_and_no_rename_replaces_it(tmp_path: Path, namespace: list[str]) -> None:
    places = [tmp_path / name for name in ("source", "a file\t\\with é", "new")]
    for place in places:
        place.touch()
    argv = [*namespace, sys.executable, "-c", PROGRAM, *map(str, places)]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [False, True, False, "Device or resource busy"]
