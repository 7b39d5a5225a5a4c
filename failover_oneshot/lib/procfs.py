"""What the kernel says of processes in /proc (proc(5)). Reads only; nothing raises.

Every function takes the folder, so that a test can make one up. Where there is no /proc, no process is known.
"""

from pathlib import Path
from typing import Final

from msgspec import Struct

PROC: Final = Path("/proc")


class Process(Struct, frozen=True):
    """A process, by its `stat`."""

    pid: int
    state: str  # one letter
    parent: int
    group: int
    foreground_group: int  # of its terminal; -1 without one
    started: int  # clock ticks since boot: with the pid it names one process for good

    @property
    def in_foreground(self) -> bool:
        """Whether its group has the terminal."""
        return self.group == self.foreground_group

    @property
    def ended(self) -> bool:
        """A zombie has, though it is still listed."""
        return self.state in {"Z", "X"}


def process(pid: int, proc: Path = PROC) -> Process | None:
    """The process, a zombie too; None where there is none or it cannot be read."""
    try:
        with open(f"{proc}/{pid}/stat", "rb", buffering=0) as file:  # noqa: PTH123
            line = file.read(4096)
        # the command's name, in parentheses, may itself hold blanks and parentheses
        state, parent, group, _, _, foreground, *rest = line.rpartition(b")")[2].split()
        return Process(pid, state.decode("ascii"), int(parent), int(group), int(foreground), int(rest[13]))
    except (OSError, ValueError, IndexError):
        return None


def ended(pid: int, proc: Path = PROC) -> bool:
    """Whether there is no such process any more; without /proc nothing is known to have ended."""
    found = process(pid, proc)
    return (proc / "self").exists() if found is None else found.ended


def pids(proc: Path = PROC) -> list[int]:
    """The ids of all processes; none without /proc."""
    return [int(folder.name) for folder in proc.glob("[0-9]*") if folder.name.isdecimal()]


def arguments(pid: int, proc: Path = PROC) -> list[bytes] | None:
    """Its command line, the program's name first; empty for a zombie, None where it cannot be read.

    Empty arguments at the end are not told from the padding of a program that has written over its own.
    """
    try:
        line = (proc / str(pid) / "cmdline").read_bytes().rstrip(b"\0")
    except OSError:
        return None
    return line.split(b"\0") if line else []


def environ(pid: int, proc: Path = PROC) -> dict[str, str]:
    """The environment that it was started with; empty where that cannot be read, as another user's."""
    try:
        entries = (proc / str(pid) / "environ").read_bytes().decode("utf-8", "surrogateescape").split("\0")
    except OSError:
        return {}
    # Of two with one name the first counts, as for getenv(3).
    return {name: value for name, equals, value in (entry.partition("=") for entry in reversed(entries)) if equals}
