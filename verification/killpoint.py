"""Run `failover-check` and disturb it before the n-th call that changes the world: a kill, an error, another program.

    python killpoint.py N[:ERROR[:once]|:/PROGRAM] POINTS-FILE [failover-check's arguments]

A point is just before a call: all earlier calls have happened, this one has not. A program that the check runs (tmux, a
`swap.command`) has several points: before it starts, after it has started, after it has received all of its input, and
after it has ended. With ERROR, such as ENOSPC, the check is not killed: each call that needs the disk fails with that
error, from that point on or, with `once`, at that point only. With the path of a PROGRAM, the check waits at that point
until that program has ended, and goes on. With N = 0 the check survives, and POINTS-FILE gets a
line for each point. `test_kill_matrix.py` compares the points with strace, so that no system call is missing.
"""

import errno
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any

CHANGES = (
    *("write", "fsync", "replace", "rename", "link", "unlink", "remove", "mkdir", "rmdir", "utime", "chmod", "fchmod"),
    *("symlink", "truncate", "ftruncate", "chown", "fchown"),
)
NEEDS_DISK = ("open", "write", "fsync", "replace", "rename", "link", "mkdir")  # calls that free space never fail
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


class Counter:
    """Counts the points; at the fatal one it kills the process, raises the error or runs the program."""

    def __init__(self, fatal: int, error: str, *, once: bool) -> None:
        self.fatal = fatal
        self.error = error
        self.once = once
        self.telling = False
        self.points: list[str] = []

    def point(self, name: str) -> None:
        if threading.current_thread() is not threading.main_thread():
            return  # the locks' heartbeat thread runs at random moments
        self.points.append(name)
        if not self.fatal:
            return
        if self.error.startswith("/"):
            if len(self.points) == self.fatal:
                os.waitpid(os.posix_spawn(self.error, [self.error], os.environ), 0)
            return
        due = len(self.points) == self.fatal or (len(self.points) > self.fatal and not self.once)
        if self.error and due and self.on_disk(name):
            number: int = getattr(errno, self.error)
            raise OSError(number, os.strerror(number))
        if not self.error and due:
            os.kill(os.getpid(), signal.SIGKILL)

    def on_disk(self, name: str) -> bool:
        """Whether that call needs the disk; writing to a program's stdin does not."""
        return not self.telling and name.split(maxsplit=1)[0] in NEEDS_DISK

    def watch(self, name: str) -> None:
        real: Callable[..., Any] = getattr(os, name)

        def call(*args: Any, **kwargs: Any) -> Any:
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
        """Replace `subprocess.Popen` by a subclass that counts its points."""
        counter = self

        class Popen(subprocess.Popen[Any]):
            def __init__(self, argv: Any, *args: Any, **kwargs: Any) -> None:
                self.program = os.path.basename(argv[0])  # noqa: PTH119
                counter.point(f"start {self.program}")
                super().__init__(argv, *args, **kwargs)
                counter.point(f"started {self.program}")

            def communicate(self, input: Any = None, timeout: float | None = None) -> tuple[Any, Any]:
                if input is not None and self.stdin is not None:
                    counter.telling = True
                    os.write(self.stdin.fileno(), input if isinstance(input, bytes) else input.encode())
                    counter.telling = False
                    self.stdin.close()
                    self.stdin = None
                    counter.point(f"told {self.program}")
                return super().communicate(None, timeout)

            def __exit__(self, *args: object) -> None:
                super().__exit__(*args)  # type: ignore[arg-type]
                counter.point(f"ended {self.program}")

        subprocess.Popen = Popen  # type: ignore[misc,assignment]


def argv(point: int | str, points: str, flags: Sequence[str]) -> list[str]:
    """The command that runs this program: `point` is N, `N:ERROR` or `N:/PROGRAM`, `points` the POINTS-FILE."""
    return [sys.executable, __file__, str(point), points, *flags]


def main() -> int:
    number, _, error = sys.argv[1].partition(":")
    error, _, once = error.partition(":")
    counter = Counter(int(number), error, once=bool(once))
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
