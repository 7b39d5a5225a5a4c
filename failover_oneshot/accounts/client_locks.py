"""The client's own advisory locks: folders made with mkdir, alive as long as their time stamp is touched.

Held in the client's order and released in reverse. A folder of somebody else is broken only when it is stale. Ours have
the sticky bit, which mkdir sets in the same instant and no client uses, and are flocked by their living holder: so the
folders of a run that was killed are known for what they are and taken over at once, instead of after a minute.
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
    """The locks held, in order: their folders' open descriptors."""

    def __init__(self) -> None:
        self._locks: list[tuple[Path, int]] = []

    def add(self, path: Path, fd: int) -> None:
        """One more is held."""
        self._locks = [*self._locks, (path, fd)]

    def touch(self) -> None:
        """Shows that the holder is alive. By descriptor: a folder that somebody else made since is not touched."""
        for _, fd in self._locks:
            os.utime(fd)

    def check(self) -> None:
        """MethodError when a lock was broken, because this process stood still for too long."""
        for path, fd in self._locks:
            if not _is_at(path, fd):
                raise MethodError(f"the lock {path} was lost meanwhile")

    def release(self) -> None:
        """Gives them back, the last one first; one that was broken is somebody else's by now and stays."""
        while self._locks:
            path, fd = self._locks.pop()
            try:
                if _is_at(path, fd):
                    path.rmdir()
            except OSError:
                pass  # it will be stale in a minute; there is nothing better to do on the way out
            finally:
                os.close(fd)


@contextmanager
def client_locks(wanted: Sequence[tuple[Path, float]], timeout: float) -> Iterator[HeldLocks]:
    """Holds these folders (each with the age in seconds from which on it is stale), taken in this order.

    MethodError, with none held, when that was not possible within `timeout` seconds over all.
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
            raise MethodError(f"cannot make the lock {why(error)}") from None
        if fd is not None:
            return fd
        if time.monotonic() >= deadline:
            raise MethodError(f"the client holds its lock {path}")
        time.sleep(POLL_EVERY)


def _try(path: Path, stale: float) -> int | None:
    """The open descriptor of the folder if it is ours now, else None."""
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
    """Whether no living run holds it; `unsupported` is the answer on a file system that can not tell."""
    from fcntl import LOCK_EX, LOCK_NB, flock

    try:
        flock(fd, LOCK_EX | LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return unsupported
    return True


def _break(path: Path, seen: os.stat_result) -> None:
    """Takes a stale lock away, if it is still the one that was seen, and as it was."""
    try:
        now = path.lstat()
        if (now.st_ino, now.st_mtime_ns) == (seen.st_ino, seen.st_mtime_ns):
            path.rmdir()
    except OSError:
        return  # somebody was faster, or it is not empty: then it is waited for until the timeout


def _is_at(path: Path, fd: int) -> bool:
    try:
        there, here = path.lstat(), os.fstat(fd)
    except OSError:
        return False
    return (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino)
