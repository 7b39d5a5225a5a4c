"""Really full and read-only disks where a swap writes; `verification/small_disk.py` tries more cases."""

import subprocess
import sys

import pytest

from tests.support.paths import ROOT

TRIED = [
    ("claude-recreate", "state", "full:1"),
    ("claude-recreate", "state", "read-only"),
    ("claude-recreate", "claude", "full:1"),
    ("claude-recreate", "claude", "read-only"),
    ("claude-recreate", "main", "full:0"),
    ("claude-recreate", "main", "read-only"),
    ("files-respawn", "agent", "full:3"),
    ("files-respawn", "backup", "read-only"),
]


@pytest.mark.parametrize(("scenario", "place", "how"), TRIED)
def test_a_bad_disk_loses_nothing_and_the_next_check_swaps(
    scenario: str, place: str, how: str, namespace: list[str]
) -> None:
    argv = [*namespace, sys.executable, "-m", "verification.small_disk", scenario, place, how]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
