"""Reads processes and mounts from /proc (proc(5)). No function raises an exception.

Every function takes the folder as a parameter, so that tests can make one. Without /proc no process is known.
"""

import re
from pathlib import Path
from typing import Final

from msgspec import Struct

PROC: Final = Path("/proc")
_ESCAPED = re.compile(rb"\\([0-7]{3})")  # space, tab, line break and backslash in a path


class Process(Struct, frozen=True):
    """A process, as its `stat` file describes it."""

    pid: int
    state: str  # one letter
    parent: int
    group: int
    foreground_group: int  # of its terminal; -1 without a terminal
    started: int  # clock ticks since boot; identifies a process together with its pid

    @property
    def in_foreground(self) -> bool:
        """Whether its process group has the terminal."""
        return self.group == self.foreground_group

    @property
    def ended(self) -> bool:
        """Whether it has ended. A zombie has, although it is still listed."""
        return self.state in {"Z", "X"}


def process(pid: int, proc: Path = PROC) -> Process | None:
    """The process, which may be a zombie; None if it does not exist or cannot be read."""
    try:
        with open(f"{proc}/{pid}/stat", "rb", buffering=0) as file:  # noqa: PTH123
            line = file.read(4096)
        # the command name, in parentheses, may itself contain spaces and parentheses
        state, parent, group, _, _, foreground, *rest = line.rpartition(b")")[2].split()
        return Process(pid, state.decode("ascii"), int(parent), int(group), int(foreground), int(rest[13]))
    except (OSError, ValueError, IndexError):
        return None


def ended(pid: int, proc: Path = PROC) -> bool:
    """Whether the process has ended. Always false without /proc."""
    found = process(pid, proc)
    return (proc / "self").exists() if found is None else found.ended


def pids(proc: Path = PROC) -> list[int]:
    """The ids of all processes; empty without /proc."""
    return [int(folder.name) for folder in proc.glob("[0-9]*") if folder.name.isdecimal()]


def arguments(pid: int, proc: Path = PROC) -> list[bytes] | None:
    """The command line of a process, program name first. Empty for a zombie, None if it cannot be read.

    Empty arguments at the end are dropped: they look like the padding of a program that changed its command line.
    """
    try:
        line = (proc / str(pid) / "cmdline").read_bytes().rstrip(b"\0")
    except OSError:
        return None
    return line.split(b"\0") if line else []


def environ(pid: int, proc: Path = PROC) -> dict[str, str]:
    """The environment a process was started with; empty if it cannot be read, as for other users' processes."""
    try:
        entries = (proc / str(pid) / "environ").read_bytes().decode("utf-8", "surrogateescape").split("\0")
    except OSError:
        return {}
    # Of two entries with the same name the first counts, as in getenv(3).
    return {name: value for name, equals, value in (entry.partition("=") for entry in reversed(entries)) if equals}


def mount_points(proc: Path = PROC) -> frozenset[str]:
    """The paths, links resolved, at which something is mounted for this process; empty if they cannot be read.

    Also a single file can be a mount point (`mount --bind`). A rename cannot replace such a file (EBUSY).
    """
    try:
        lines = (proc / "self" / "mountinfo").read_bytes().split(b"\n")
    except OSError:
        return frozenset()
    paths = [fields[4] for line in lines if len(fields := line.split(b" ")) > 4]
    plain = [_ESCAPED.sub(lambda found: bytes([int(found[1], 8) & 0xFF]), path) for path in paths]
    return frozenset(path.decode("utf-8", "surrogateescape") for path in plain)
