"""`make demo` and `make test` on a machine without tmux or a new enough Python."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT

MAKEFILE = ROOT / "Makefile"
OLD = "#!/bin/sh\nexit 1\n"  # an interpreter that fails the version test


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder for PATH with a shell, the usual small tools, Python and tmux."""
    folder = tmp_path / "programs"
    folder.mkdir()
    for name in ("sh", "rm", "test", "touch", "mkdir", "tmux", "make"):
        found = shutil.which(name)
        if not found:
            pytest.skip(f"{name} is not installed")
        (folder / name).symlink_to(found)
    (folder / "python3.11").symlink_to(sys.executable)
    return folder


@pytest.mark.parametrize("goal", ["demo", "test"])
@pytest.mark.parametrize(
    ("missing", "line"),
    [
        ("tmux", "tmux is not installed: apt install tmux"),
        ("python3.11", "Python 3.11 or newer is not installed: apt install python3 python3-venv"),
    ],
)
def test_a_missing_program_is_reported_in_one_line(
    tmp_path: Path, programs: Path, goal: str, missing: str, line: str
) -> None:
    (programs / missing).unlink()
    (programs / "python3").write_text(OLD)
    (programs / "python3").chmod(0o755)
    command = [str(programs / "make"), "-C", str(tmp_path), "-f", str(MAKEFILE), goal]
    done = subprocess.run(command, check=False, capture_output=True, text=True, env={"PATH": str(programs)})
    assert done.returncode != 0
    assert [said for said in done.stderr.splitlines() if not said.startswith("make")] == [line]
    assert not (tmp_path / ".venv").exists()


def test_an_interpreter_that_is_too_old_is_skipped(tmp_path: Path, programs: Path) -> None:
    """`python3` may be old, or a version manager's stub, while `python3.11` is there."""
    (programs / "python3").write_text(OLD)
    (programs / "python3").chmod(0o755)
    (tmp_path / "pyproject.toml").touch()
    command = [str(programs / "make"), "-C", str(tmp_path), "-f", str(MAKEFILE), "--dry-run", "demo"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env={"PATH": str(programs)})
    assert "python3.11 -m venv" in done.stdout
