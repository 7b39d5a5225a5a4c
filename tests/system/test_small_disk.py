"""A full and a read-only disk, for real, wherever a swap writes; `verification/small_disk.py` tries more."""

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


@pytest.fixture(scope="module")
def namespace() -> list[str]:
    """What gives a program mounts of its own."""
    probe = subprocess.run(["unshare", "--mount", "true"], check=False, capture_output=True)
    if probe.returncode:
        pytest.skip(f"no mount namespace can be made here: {probe.stderr.decode().strip()}")
    return ["unshare", "--mount"]


@pytest.mark.parametrize(("scenario", "place", "how"), TRIED)
def test_a_spoilt_disk_loses_nothing_and_the_next_check_makes_the_swap(
    scenario: str, place: str, how: str, namespace: list[str]
) -> None:
    argv = [*namespace, sys.executable, "-m", "verification.small_disk", scenario, place, how]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
