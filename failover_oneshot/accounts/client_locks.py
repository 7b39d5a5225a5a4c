"""Claude Code's own advisory locks: folders made with mkdir, valid while their time stamp is touched.

They are taken in Claude Code's order and released in reverse. Another program's lock is broken only when it is stale.
Ours carry the sticky bit, which mkdir sets in the same instant and Claude Code never uses, and an flock of their living
holder. So the locks of a killed run are recognized and taken over at once instead of after a minute.
"""

import os
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from failover_oneshot.accounts.method import MethodError
from failover_oneshot.accounts.staged import why

TOUCH_EVERY = 2.0  # seconds
POLL_EVERY = 0.01  # seconds
OURS = 0o1700


class HeldLocks:
    """The locks that are held, in order, each with its folder's open descriptor."""

    def __init__(self) -> None:
        self._locks: list[tuple[Path, int]] = []

    def add(self, path: Path, fd: int) -> None:
        """Add a lock that was just taken."""
        self._locks = [*self._locks, (path, fd)]

    def touch(self) -> None:
        """Show that the holder is alive. By descriptor, so that another program's new folder is never touched."""
        for _, fd in self._locks:
            os.utime(fd)

    def check(self) -> None:
        """Raise MethodError if a lock was broken because this process was stopped for too long."""
        for path, fd in self._locks:
            if not _is_at(path, fd):
                raise MethodError(f"lost the lock {path}")

    def release(self) -> None:
        """Release the locks, the last one first. A broken lock has a new holder and stays."""
        while self._locks:
            path, fd = self._locks.pop()
            try:
                if _is_at(path, fd):
                    path.rmdir()
            except OSError:
                pass  # it becomes stale within a minute
            finally:
                os.close(fd)


@contextmanager
def client_locks(wanted: Sequence[tuple[Path, float]], timeout: float) -> Iterator[HeldLocks]:
    """Hold these locks, taken in this order. Each comes with the age in seconds at which it is stale.

    MethodError, with none held, when they cannot all be taken within `timeout` seconds.
    """
    from threading import Event, Thread

    deadline = time.monotonic() + timeout
    held = HeldLocks()
    over = Event()

    def keep_alive() -> None:
        while not over.wait(TOUCH_EVERY):
            held.touch()

    toucher = Thread(target=keep_alive, daemon=True)
    try:
        for path, stale in wanted:
            held.add(path, _take(path, stale, deadline))
            if not toucher.is_alive():
                toucher.start()
        yield held
    finally:
        over.set()
        if toucher.is_alive():
            toucher.join()
        held.release()


def _take(path: Path, stale: float, deadline: float) -> int:
    while True:
        try:
            fd = _try(path, stale)
        except OSError as error:
            raise MethodError(f"cannot create the lock {why(error)}") from None
        if fd is not None:
            return fd
        if time.monotonic() >= deadline:
            raise MethodError(f"Claude Code holds the lock {path}")
        time.sleep(POLL_EVERY)


def _try(path: Path, stale: float) -> int | None:
    """The folder's open descriptor if the lock is ours now, else None."""
    made = True
    try:
        path.mkdir(mode=OURS)
    except FileExistsError:
        made = False
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    info = os.fstat(fd)
    ours = stat.S_ISDIR(info.st_mode) and info.st_mode & stat.S_ISVTX and info.st_uid == os.geteuid()
    if (made or ours) and _flocked(fd, unsupported=made) and _is_at(path, fd):
        os.utime(fd)
        return fd
    try:
        if time.time() - info.st_mtime > stale and _is_at(path, fd):
            _break(path, info)
    finally:
        os.close(fd)
    return None


def _flocked(fd: int, *, unsupported: bool) -> bool:
    """Whether no living run holds the lock; `unsupported` is the answer on a file system without flock."""
    from fcntl import LOCK_EX, LOCK_NB, flock

    try:
        flock(fd, LOCK_EX | LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return unsupported
    return True


def _break(path: Path, seen: os.stat_result) -> None:
    """Remove a stale lock if it is unchanged since `seen`."""
    try:
        now = path.lstat()
        if (now.st_ino, now.st_mtime_ns) == (seen.st_ino, seen.st_mtime_ns):
            path.rmdir()
    except OSError:
        return  # another program was faster, or the folder is not empty: wait for it until the timeout


def _is_at(path: Path, fd: int) -> bool:
    try:
        there, here = path.lstat(), os.fstat(fd)
    except OSError:
        return False
    return (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino)
