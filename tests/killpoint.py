"""Runs `failover-check` and kills it, with SIGKILL, at the n-th call that changes the world, or lets the disk fail.

    python killpoint.py N[:ERROR] COUNT-FILE [failover-check's arguments]

The calls are counted in front of the real ones, so each point is "everything before has happened, this has not". With
ERROR, such as ENOSPC, it is not killed: from that point on every call that needs the disk fails with it. With N = 0 it
survives and writes what the points are, a line each, to COUNT-FILE.
"""

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

CHANGES = (
    *("write", "fsync", "replace", "rename", "link", "unlink", "remove", "mkdir", "rmdir", "utime", "chmod", "fchmod"),
    *("symlink", "truncate", "ftruncate"),
)
NEEDS_DISK = ("open", "write", "fsync", "replace", "rename", "link", "mkdir")  # what is freed never fails
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


class Counter:
    def __init__(self, fatal: int, error: str) -> None:
        self.fatal = fatal
        self.error = error
        self.telling = False
        self.points: list[str] = []

    def point(self, name: str) -> None:
        self.points.append(name)
        if self.error:
            if len(self.points) >= self.fatal and self.on_disk(name):
                number: int = getattr(errno, self.error)
                raise OSError(number, os.strerror(number))
        elif len(self.points) == self.fatal:
            os.kill(os.getpid(), signal.SIGKILL)

    def on_disk(self, name: str) -> bool:
        """A write to a program's input needs no disk."""
        return not self.telling and name.split(maxsplit=1)[0] in NEEDS_DISK

    def watch(self, name: str) -> None:
        real: Callable[..., Any] = getattr(os, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            if not (name == "utime" and self.fatal):  # from a thread of its own, at its own times
                self.point(f"{name} {os.path.basename(str(args[0]))}")  # noqa: PTH119
            return real(*args, **kwargs)

        setattr(os, name, call)

    def watch_open(self) -> None:
        real = os.open

        def call(path: Any, flags: int, *args: Any, **kwargs: Any) -> int:
            if flags & WRITING and str(path) != os.devnull:
                self.point(f"open {os.path.basename(str(path))}")  # noqa: PTH119
            return real(path, flags, *args, **kwargs)

        os.open = call

    def watch_programs(self) -> None:
        real = subprocess.Popen.communicate
        counter = self

        def call(process: Any, *args: Any, **kwargs: Any) -> Any:
            counter.point(f"tell {process.args[-1] if isinstance(process.args, list) else process.args}")
            counter.telling = True
            answer = real(process, *args, **kwargs)
            counter.telling = False
            counter.point("told")
            return answer

        subprocess.Popen.communicate = call  # type: ignore[method-assign,assignment]


def main() -> int:
    number, _, error = sys.argv[1].partition(":")
    counter = Counter(int(number), error)
    counter.watch_open()
    counter.watch_programs()
    for name in CHANGES:
        counter.watch(name)
    from failover_oneshot.cli import main as check

    code = check(sys.argv[3:])
    if not counter.fatal:
        with open(sys.argv[2], "w", encoding="utf-8") as file:  # noqa: PTH123
            file.write("\n".join(counter.points))
    return code


if __name__ == "__main__":
    sys.exit(main())
