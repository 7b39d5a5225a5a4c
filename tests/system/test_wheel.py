"""The wheel, installed as by pipx: a separate venv, an empty home, and no access to the checkout."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from failover_oneshot.ctl.demo.server import execute
from tests.support.paths import ROOT
from tests.support.tmux_server import Server


def build(folder: Path) -> Path:
    """The wheel, built from a copy of the tree so that the build leaves no file in the tree."""
    tree = folder / "tree"
    ignored = shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "__pycache__")
    shutil.copytree(ROOT, tree, ignore=ignored, symlinks=True)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run(
        [*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(tree)], check=True
    )
    [wheel] = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def bin_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of an isolated installation; it uses the dependencies of the tests' interpreter."""
    folder = tmp_path_factory.mktemp("wheel")
    wheel = build(folder)
    home = folder / "venv"
    venv.create(home, with_pip=False, symlinks=True)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--python", str(home / "bin/python")]
    subprocess.run([*pip, "install", "--no-deps", "--no-index", str(wheel)], check=True)
    packages = next((home / "lib").glob("python3*/site-packages"))
    # Not with a .pth file: the .pth files beside the dependencies, which lead to the checkout, would be read too.
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if not entry.name.startswith(("__editable__", "failover_oneshot", "_virtualenv")) and entry.suffix != ".pth":
            target = packages / entry.name
            if not target.exists():
                target.symlink_to(entry)
    return home / "bin"


def run(bin_folder: Path, server: Server, *argv: str, code: int = 0) -> str:
    """Run a program of the installation by its name, in an empty home."""
    env = {**server.environ, "PATH": f"{bin_folder}:{os.environ['PATH']}"}
    del env["PYTHONPATH"]
    done = execute([str(bin_folder / argv[0]), *argv[1:]], env, server.home)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def test_the_wheel_is_complete(bin_folder: Path, server: Server) -> None:
    """The installed package runs, and contains the units, the style sheet and the man pages."""
    where = run(bin_folder, server, "python", "-c", "import failover_oneshot as f; print(f.__file__)")
    assert str(bin_folder.parent) in where
    data = Path(where.strip()).parent / "data"
    for name in ("failover.service", "failover.timer"):
        assert not (data / name).is_symlink()
        assert (data / name).read_bytes() == (ROOT / "deploy" / name).read_bytes()
    for name in ("failoverctl.1", "failover-check.1"):
        assert (bin_folder.parent / "share/man/man1" / name).is_file()


def test_an_empty_home_becomes_an_installation(bin_folder: Path, server: Server) -> None:
    """All commands of the setup run in order, up to the one that needs a user manager."""
    server.start("ccl-auto-1", "exec sleep 600")
    assert "failoverctl init" in run(bin_folder, server, "failover-check", code=78)
    run(bin_folder, server, "failoverctl", "doctor", code=2)
    run(bin_folder, server, "failoverctl", "init", "--socket-path", str(server.socket))
    assert "0 of 1 pool sessions blocked" in run(bin_folder, server, "failover-check")
    facts = json.loads(run(bin_folder, server, "failoverctl", "doctor", "--json", code=2))
    assert {line["topic"] for line in facts["lines"] if line["level"] == "error"} == {"accounts", "files"}
    run(bin_folder, server, "failoverctl", "report", "-o", "r.html")
    assert (server.home / "r.html").read_bytes().startswith(b"<!doctype html>")
    assert "_failoverctl" in run(bin_folder, server, "failoverctl", "completion", "zsh")
    refused = run(bin_folder, server, "failoverctl", "install", code=69)
    assert f"{bin_folder / 'failover-check'} -q" in refused
    assert "promises hold" in run(bin_folder, server, "failoverctl", "demo")
