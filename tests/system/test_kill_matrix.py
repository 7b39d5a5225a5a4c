"""A part of the kill matrix, spread over the whole check; `make kill-matrix` tries all points of all scenarios."""

import re
import subprocess
import tempfile
from pathlib import Path

import pytest

from failover_oneshot.config.model import AfterSwap, Method
from tests.support.paths import ROOT
from verification.kill_matrix import SCENARIOS, points_of, second, trial, try_act, try_error, try_point

POINTS = 2
PART = [
    "claude-recreate", "claude-respawn", "claude-nudge", "files-recreate", "files-none", "env-respawn",
    "command-recreate", "resumed-nudge",
]  # fmt: skip

SYSTEM_CALLS = {  # each call that changes something, and the counter's name for it
    "openat": "open", "open": "open", "creat": "open", "write": "write", "pwrite64": "write", "writev": "write",
    "fsync": "fsync", "fdatasync": "fsync", "rename": "rename", "renameat": "rename", "renameat2": "rename",
    "link": "link", "linkat": "link", "symlink": "symlink", "symlinkat": "symlink", "unlink": "unlink",
    "unlinkat": "unlink", "mkdir": "mkdir", "mkdirat": "mkdir", "rmdir": "rmdir", "chmod": "chmod",
    "fchmod": "fchmod", "fchmodat": "chmod", "utimensat": "utime", "truncate": "truncate", "ftruncate": "ftruncate",
    "chown": "chown", "fchown": "fchown", "lchown": "chown", "fchownat": "chown", "mknodat": "mknod",
    "setxattr": "setxattr", "fsetxattr": "setxattr", "fallocate": "fallocate", "copy_file_range": "write",
    "sendfile": "write", "sendto": "send", "sendmsg": "send", "kill": "kill", "fork": "start", "vfork": "start",
    "clone": "start", "clone3": "start",
}  # fmt: skip
NAMES = {"replace": "rename", "remove": "unlink"}
CALL = re.compile(r"^(\w+)\((.*)")
NOT_CHANGING = re.compile(
    r"^(?:openat\(\w+, \"/dev/null\"|openat\((?!.*O_(?:WRONLY|RDWR|CREAT|TRUNC))|write\([12],|clone3?\(.*CLONE_THREAD)"
)


@pytest.mark.parametrize("scenario", PART)
def test_a_swap_killed_anywhere_is_completed_exactly_once(scenario: str) -> None:
    points = points_of(scenario)
    assert len(points) > 60
    first = 5 + 7 * PART.index(scenario)  # another part of the check for each
    for point in range(first, len(points), len(points) // POINTS):
        try_point(scenario, point)
    try_point(scenario, first + 20, second(first))


@pytest.mark.parametrize(
    ("scenario", "error", "first"),
    [
        ("claude-recreate", "ENOSPC", 3),
        ("claude-respawn", "EROFS:once", 59),
        ("files-recreate", "EIO:once", 35),
        ("command-recreate", "EACCES", 4),
    ],
)
def test_a_disk_that_fails_at_any_point_loses_nothing(scenario: str, error: str, first: int) -> None:
    points = points_of(scenario)
    for point in range(first, len(points), len(points) // POINTS):
        try_error(scenario, point, error)


@pytest.mark.parametrize(
    ("scenario", "act", "first"),
    [
        ("claude-recreate", "revert", 40),
        ("claude-none", "revert", 30),
        ("claude-recreate", "refresh", 45),
        ("files-none", "refresh", 25),
    ],
)
def test_an_agent_that_acts_after_the_kill_loses_nothing(scenario: str, act: str, first: int) -> None:
    points = points_of(scenario)
    for point in range(first, len(points), len(points) // (POINTS + 1)):
        try_act(scenario, point, act)


@pytest.mark.parametrize("scenario", ["claude-recreate", "command-respawn"])
def test_every_system_call_that_changes_something_is_a_point(scenario: str) -> None:
    """Under strace, the changing calls of the check's main thread are, call by call, those that the counter counts."""
    try:
        works = subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        works = False
    if not works:
        pytest.skip("strace is not installed or may not trace")
    with trial(scenario) as one, tempfile.TemporaryDirectory() as folder:
        counted, traced = Path(folder) / "points", Path(folder) / "trace"
        strace = ["strace", "-o", str(traced), "-e", f"trace={','.join(SYSTEM_CALLS)}"]
        code = one.checked(0, str(counted), strace).returncode
        assert code == 0
        points = [re.split(r"\s", line)[0] for line in counted.read_text().splitlines()]
        ours = [NAMES.get(p, p) for p in points if p not in {"started", "told", "ended"}]
        assert system_calls(traced, without=str(counted)) == ours


def system_calls(trace: Path, without: str) -> list[str]:
    """The changing calls of a trace by the counter's names, up to the first that has `without` in its line."""
    found = []
    for line in trace.read_text().splitlines():
        match = CALL.match(line)
        if without in line:
            break
        if match and not NOT_CHANGING.match(line):
            found.append(SYSTEM_CALLS[match[1]])
    return found


def test_the_page_has_every_scenario_and_they_cover_all_modes() -> None:
    page = (ROOT / "docs/kill-matrix.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `([a-z]+-[a-z]+)` \|", page, re.MULTILINE) == SCENARIOS
    assert {f"{method}-{mode}" for method in Method for mode in AfterSwap} <= set(SCENARIOS)
