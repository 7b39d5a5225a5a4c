"""Locks, loads and durably saves the state file, with a backup and a quarantine (docs/behavior.md, "State")."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from failover_oneshot.errors import EXIT_IO, EXIT_TEMPFAIL, FailoverError
from failover_oneshot.lib import atomicfile, durations
from failover_oneshot.state.model import VERSION, State

MAX_BYTES = 16 * 1024 * 1024  # about a thousand times what a busy pool needs


class StoreError(FailoverError):
    """The state cannot be read or written. The message says why."""

    exit_code = EXIT_IO


class LockTimeoutError(FailoverError):
    """Another check holds the lock."""

    exit_code = EXIT_TEMPFAIL
    next_run = "; trying again at the next check"
    by_hand = "; run this again when it has ended"


class LockLostError(FailoverError):
    """The lock file was removed or replaced while it was held, so another check may be running."""

    exit_code = EXIT_TEMPFAIL
    next_run = "; trying again at the next check"
    by_hand = "; run this again"


class Origin(Enum):
    """Where a loaded state came from."""

    FILE = "file"
    FRESH = "fresh"  # there was no file
    BACKUP = "backup"  # the file was corrupt
    RESET = "reset"  # the file was corrupt, and there was no good backup


class LoadedState(Struct, frozen=True):
    """A state with its origin."""

    state: State
    origin: Origin
    notes: tuple[str, ...] = ()  # warnings for the log


class StateStore:
    """One state file. ``path`` need not exist. Not safe to share between threads."""

    def __init__(self, path: Path, lock_timeout: float) -> None:
        self.path = path
        self.backup = path.with_name(path.name + ".bak")
        self.lock = Path(f"{path}.lock")
        self._lock_timeout = lock_timeout
        self._raw: dict[str, Any] = {}  # as it was last read or written, with unknown keys
        self._last = State()  # the known part of it
        self._good = False  # whether the file is a good state that may become the backup
        self._held: os.stat_result | None = None  # of the lock file, while the lock is held

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock beside the state file. Creates the folder if it is missing.

        The lock is a separate file, because a save replaces the state file. It stays when it is released: filelock
        before 3.30 removes it, even if another check holds it by then.

        Raises LockTimeoutError after ``state.lock_timeout``, StoreError when the folder cannot be used or trusted, and
        LockLostError as `verify_lock` does.
        """
        from filelock import FileLock, Timeout

        # A soft lock (for file systems without flock) is a new file each time, so `verify_lock` could not know it.
        lock = FileLock(self.lock, timeout=self._lock_timeout, mode=0o600, fallback_to_soft=False)
        with ExitStack() as held:
            try:
                self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._refuse_shared()
                self._held = self._opened(held)
                held.enter_context(lock)
            except FileExistsError:
                raise StoreError(f"cannot write {self.path}: {self.path.parent} is not a folder") from None
            except Timeout:
                waited = durations.format(self._lock_timeout)
                why = f"another check still holds {self.lock} after {waited} (state.lock_timeout)"
                raise LockTimeoutError(why) from None
            except (OSError, NotImplementedError) as error:
                raise StoreError(f"cannot lock {self.lock}: {_why(error)}") from None
            self.verify_lock()
            yield

    def _opened(self, held: ExitStack) -> os.stat_result:
        """The lock file, opened before it is locked. While it is open no other file gets its inode number."""
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(self.lock, flags, 0o600)
        held.callback(os.close, descriptor)
        held.callback(setattr, self, "_held", None)
        return os.fstat(descriptor)

    def verify_lock(self) -> None:
        """Raise LockLostError when the lock is held but its path no longer names the file that was locked.

        Call this before each change outside the state; `save` does so itself. A store without the lock skips it.
        """
        if self._held is None:
            return
        try:
            named = self.lock.lstat()
        except OSError:
            named = None
        if named is None or not os.path.samestat(named, self._held):
            raise LockLostError(f"lost the lock {self.lock}: the file was removed or replaced while it was held")

    def load(self, now: datetime, *, quarantine: bool) -> LoadedState:
        """The state from the file, else from its backup, else a fresh one.

        ``quarantine``: move a corrupt file out of the way (a dry run never does). Raises StoreError when the file
        cannot be read, when others can write it, or when a newer version wrote it.
        """
        try:
            self._refuse_shared()
            data = atomicfile.read_bounded(self.path, MAX_BYTES)
        except FileNotFoundError:
            return LoadedState(State(), Origin.FRESH)
        except ValueError as error:
            return self._recover(str(error), now, quarantine)
        except OSError as error:
            raise StoreError(f"cannot read {self.path}: {_why(error)}") from None
        try:
            state = self._decode(data, self.path)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:  # ValueError: a string that is not UTF-8
            return self._recover(str(error) if data.strip() else "the file is empty", now, quarantine)
        self._good = True
        return LoadedState(state, Origin.FILE)

    def _refuse_shared(self) -> None:
        """Raise StoreError when others can write the state: its journal holds commands that the next check runs."""
        if why := atomicfile.shared(self.path):
            raise StoreError(f"cannot trust the state: {why}")

    def _decode(self, data: bytes, path: Path) -> State:
        raw = msgspec.json.decode(data)
        version = raw.get("version") if isinstance(raw, dict) else None
        if isinstance(version, int) and version > VERSION:
            raise StoreError(
                f"{path} was written by a newer version (format {version}, not {VERSION}); upgrade this one"
            )
        if not isinstance(raw, dict) or version != VERSION or isinstance(version, bool):
            raise msgspec.ValidationError("no valid version")
        state = msgspec.convert(raw, State)
        self._raw, self._last = raw, state
        return state

    def _recover(self, why: str, now: datetime, quarantine: bool) -> LoadedState:
        aside = self.path.with_name(f"{self.path.name}.corrupt-{now:%Y%m%dT%H%M%SZ}")
        number = 1
        while os.path.lexists(aside):
            number += 1
            aside = self.path.with_name(f"{self.path.name}.corrupt-{now:%Y%m%dT%H%M%SZ}-{number}")
        try:
            backup = atomicfile.read_bounded(self.backup, MAX_BYTES)
            state = self._decode(backup, self.backup)
        except (msgspec.MsgspecError, RecursionError, ValueError, OSError):
            backup, state = b"", State()
        if quarantine:
            self._set_aside(aside, backup)
        moved = "moved to" if quarantine else "would be moved to"
        note = f"state file {self.path} is corrupt ({why}); {moved} {aside.name}"
        if not backup:
            return LoadedState(state, Origin.RESET, (f"{note}; no good backup, starting with a fresh state",))
        return LoadedState(state, Origin.BACKUP, (f"{note}; continuing with the backup {self.backup.name}",))

    def _set_aside(self, aside: Path, backup: bytes) -> None:
        """Move the corrupt file to ``aside`` and put the backup's content in its place, if there is any.

        Otherwise a check that ends before its first save would leave no state, and the next one would begin afresh.
        """
        self.verify_lock()
        try:
            if not backup or self.path.is_symlink() or not _linked(self.path, aside):
                os.rename(self.path, aside)  # noqa: PTH104 - the link itself moves, never what it points to
            if backup:
                atomicfile.write_atomic(self.path, backup)
        except OSError as error:
            raise StoreError(f"cannot move the corrupt {self.path} to {aside.name}: {_why(error)}") from None

    def save(self, state: State) -> None:
        """Write the state durably. The previous version becomes the backup.

        Raises StoreError or LockLostError, and then the file is unchanged.
        """
        self.verify_lock()
        new = msgspec.json.decode(msgspec.json.encode(state))
        known = msgspec.json.decode(msgspec.json.encode(replace(self._last, history=())))  # entries are kept whole
        _keep_unknown(self._raw, known, new)
        data = msgspec.json.format(msgspec.json.encode(new), indent=2) + b"\n"
        try:
            if self._good:
                self._keep_backup()
            atomicfile.write_atomic(self.path, data)
        except OSError as error:
            raise StoreError(f"cannot write {self.path}: {_why(error)}") from None
        self._good = True
        self._raw, self._last = new, state

    def _keep_backup(self) -> None:
        """Link the present file to the backup's name: no copy, and a good state exists at every moment."""
        real = os.path.realpath(self.path)
        name = f"{self.backup}.{os.getpid()}.tmp"
        try:
            os.link(real, name)
        except FileNotFoundError:  # somebody removed it; the new state is still written
            return
        except OSError:  # a file system without hard links
            atomicfile.write_atomic(self.backup, atomicfile.read_bounded(self.path, MAX_BYTES))
            return
        os.replace(name, self.backup)  # noqa: PTH105 - os.replace is the documented atomic rename


def _linked(path: Path, name: Path) -> bool:
    """Whether the file has that name, too, from now on: so a kill between two renames leaves it in its place."""
    try:
        os.link(path, name)
    except OSError:  # a file system without hard links
        return False
    return True


def _keep_unknown(raw: dict[str, Any], known: dict[str, Any], new: dict[str, Any]) -> None:
    """Put unknown keys of ``raw`` back in their places, where those places still exist."""
    for key, value in raw.items():
        if key not in known:
            new.setdefault(key, value)
        elif isinstance(value, dict) and isinstance(known[key], dict) and isinstance(new.get(key), dict):
            _keep_unknown(value, known[key], new[key])


def _why(error: BaseException) -> str:
    return getattr(error, "strerror", None) or str(error)
