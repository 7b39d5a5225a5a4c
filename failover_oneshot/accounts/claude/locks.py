"""Claude Code's own advisory locks: folders made with mkdir, valid while their time stamp is touched.

They are taken in Claude Code's order and released in reverse. Another program's lock is broken only when it is stale,
whatever it is: a folder, a folder with files in it, a file. Ours carry the sticky bit, which mkdir sets in the same
instant and Claude Code never uses, and an flock of their living holder. So the locks of a killed run are recognized and
taken over at once instead of after a minute.
"""

import os
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from msgspec import Struct

from failover_oneshot.accounts.method import MethodError
from failover_oneshot.accounts.staged import why
from failover_oneshot.lib import atomicfile

TOUCH_EVERY = 2.0  # seconds
POLL_EVERY = 0.01  # seconds
UNTOUCHED = 6.0  # seconds; a living Claude Code touches its locks every 5 s
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
                    _remove(path, fd)
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


class Look(Struct, frozen=True):
    """Another program's lock, as it was found."""

    file: tuple[int, int]  # device and inode
    stamp: int  # nanoseconds since 1970; whoever holds the lock touches it
    at: float  # monotonic seconds

    @classmethod
    def of(cls, info: os.stat_result) -> "Look":
        """The lock with this status, now."""
        return cls((info.st_dev, info.st_ino), info.st_mtime_ns, time.monotonic())

    def same(self, other: "Look") -> bool:
        """Whether both found the same lock and nobody touched it in between."""
        return (self.file, self.stamp) == (other.file, other.stamp)


def _take(path: Path, stale: float, deadline: float) -> int:
    before: Look | None = None
    while True:
        try:
            if (fd := _try(path)) is not None:
                return fd
            before = _break_if_stale(path, stale, before)
        except OSError as error:
            raise MethodError(f"cannot create the lock {why(error)}") from None
        if time.monotonic() >= deadline:
            raise MethodError(f"Claude Code holds the lock {path}")
        time.sleep(POLL_EVERY)


def _try(path: Path) -> int | None:
    """The folder's open descriptor if the lock is ours now, else None."""
    made = True
    try:
        path.mkdir(mode=OURS)
    except FileExistsError:
        made = False
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return None  # released, or not made by a check
    info = os.fstat(fd)
    ours = made or (info.st_mode & stat.S_ISVTX and info.st_uid == os.geteuid())
    if ours and _flocked(fd, unsupported=made) and _is_at(path, fd):
        os.utime(fd)
        return fd
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


def _break_if_stale(path: Path, stale: float, before: Look | None) -> Look | None:
    """Look at another program's lock. Break it if it is stale and unchanged since `before`, the look to compare with.

    Returns the look to compare the next one with.
    """
    try:
        info = path.lstat()
    except FileNotFoundError:
        return None
    look = Look.of(info)
    if before is None or not look.same(before):
        return look
    now = time.time()
    untouched = max(look.at - before.at, now - info.st_ctime)  # touching sets the ctime, to the clock of that moment
    if not _is_stale(now - info.st_mtime, stale, untouched):
        return before
    _break(path, look)
    return None


def _is_stale(age: float, limit: float, untouched: float) -> bool:
    """Whether a lock of that age is stale. All in seconds; the age is negative when its time is in the future.

    The clock may have gone back a moment ago, under a living holder. So with a time in the future it also has to be
    `untouched` for longer than a living holder leaves it.
    """
    return age > limit or (age < -limit and untouched > UNTOUCHED)


def _remove(path: Path, fd: int) -> None:
    """Remove a lock of ours, also when another program put a file into it: Claude Code could never remove it."""
    try:
        path.rmdir()
    except OSError:
        _break(path, Look.of(os.fstat(fd)))


def _break(path: Path, judged: Look) -> None:
    """Remove a lock, whatever it holds. It stays if it is not the one that was judged, or was touched since."""
    aside = path.with_name(atomicfile.ASIDE + os.urandom(8).hex())
    try:
        os.rename(path, aside)  # noqa: PTH104 (of several breakers one succeeds)
    except FileNotFoundError:
        return
    if not Look.of(os.lstat(aside)).same(judged):
        with suppress(OSError):  # when another lock is there already, the holder of this one has lost it
            os.rename(aside, path)  # noqa: PTH104
            return
    atomicfile.remove_all(aside)


def _is_at(path: Path, fd: int) -> bool:
    try:
        there, here = path.lstat(), os.fstat(fd)
    except OSError:
        return False
    return (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino)
