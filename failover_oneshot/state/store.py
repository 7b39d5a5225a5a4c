"""The state file: lock, load, durable save, backup, quarantine (docs/behavior.md, "State")."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from failover_oneshot.errors import EXIT_IO, EXIT_TEMPFAIL, FailoverError
from failover_oneshot.lib import atomicfile
from failover_oneshot.state.model import VERSION, State

MAX_BYTES = 16 * 1024 * 1024  # some thousand times what a busy fleet needs


class StoreError(FailoverError):
    """The state can not be read or written; the sentence says why."""

    exit_code = EXIT_IO


class LockTimeoutError(FailoverError):
    """Another check holds the lock."""

    exit_code = EXIT_TEMPFAIL
    next_run = " for longer than state.lock_timeout: trying again at the next run"
    by_hand = ": wait until it has ended, then run this again"


class Origin(Enum):
    """Where a loaded state comes from."""

    FILE = "file"
    FRESH = "fresh"  # there was none
    BACKUP = "backup"  # the file was corrupt
    RESET = "reset"  # the file was corrupt, and so was the backup, or there was none


class LoadedState(Struct, frozen=True):
    state: State
    origin: Origin
    notes: tuple[str, ...] = ()  # warnings for the log


class StateStore:
    """One state file. ``path`` need not exist. Not for sharing between threads."""

    def __init__(self, path: Path, lock_timeout: float) -> None:
        self.path = path
        self.backup = path.with_name(path.name + ".bak")
        self._lock_timeout = lock_timeout
        self._raw: dict[str, Any] = {}  # as it was read or written last, for the keys that we do not know
        self._last = State()  # what we know of that
        self._good = False  # whether the file holds a state that may become the backup

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock beside the state file; the folder is made when it is missing.

        The lock is a file of its own: filelock before 3.21 truncates what it locks.

        Raises LockTimeoutError after ``state.lock_timeout``, StoreError when the folder can not be used or trusted.
        """
        from filelock import FileLock, Timeout

        lock = FileLock(f"{self.path}.lock", timeout=self._lock_timeout, mode=0o600)
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._refuse_shared()
            lock.acquire()
        except FileExistsError:
            raise StoreError(f"cannot keep a state: {self.path.parent} is not a folder") from None
        except Timeout:
            raise LockTimeoutError(f"another check holds {self.path}.lock") from None
        except (OSError, NotImplementedError) as error:
            raise StoreError(f"cannot lock {self.path}.lock: {_why(error)}") from None
        try:
            yield
        finally:
            lock.release()

    def load(self, now: datetime, *, quarantine: bool) -> LoadedState:
        """The state, from the file, else from its backup, else a fresh one.

        ``quarantine``: move a corrupt file aside (never done by a dry run). Raises StoreError when the file can not be
        read, could have been written by others, or was written by a newer version.
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
            return self._recover(str(error) if data.strip() else "it is empty", now, quarantine)
        self._good = True
        return LoadedState(state, Origin.FILE)

    def _refuse_shared(self) -> None:
        """The journal in the state holds commands that the next check runs: who can write it can run them as us."""
        if why := atomicfile.shared(self.path):
            raise StoreError(f"the state is not safe: {why}")

    def _decode(self, data: bytes, path: Path) -> State:
        raw = msgspec.json.decode(data)
        version = raw.get("version") if isinstance(raw, dict) else None
        if isinstance(version, int) and version > VERSION:
            raise StoreError(f"{path} was written by a newer version (version {version}, this one knows {VERSION})")
        if not isinstance(raw, dict) or version != VERSION or isinstance(version, bool):
            raise msgspec.ValidationError("it has no valid version")
        state = msgspec.convert(raw, State)
        self._raw, self._last = raw, state
        return state

    def _recover(self, why: str, now: datetime, quarantine: bool) -> LoadedState:
        aside = self.path.with_name(f"{self.path.name}.corrupt-{now:%Y%m%dT%H%M%SZ}")
        number = 1
        while os.path.lexists(aside):
            number += 1
            aside = self.path.with_name(f"{self.path.name}.corrupt-{now:%Y%m%dT%H%M%SZ}-{number}")
        if quarantine:
            try:
                os.rename(self.path, aside)  # noqa: PTH104 - the link itself moves, never what it points to
            except OSError as error:
                raise StoreError(f"cannot set the corrupt {self.path} aside: {_why(error)}") from None
        note = (
            f"the state {self.path} is corrupt ({why}): {'moved' if quarantine else 'would be moved'} to {aside.name}"
        )
        try:
            state = self._decode(atomicfile.read_bounded(self.backup, MAX_BYTES), self.backup)
        except (msgspec.MsgspecError, RecursionError, ValueError, OSError):
            return LoadedState(State(), Origin.RESET, (f"{note}; there is no good backup: a fresh state begins",))
        return LoadedState(state, Origin.BACKUP, (f"{note}; going on with its backup {self.backup.name}",))

    def save(self, state: State) -> None:
        """Write the state durably; the version before stays as the backup.

        Raises StoreError; the file is then as it was.
        """
        new = msgspec.json.decode(msgspec.json.encode(state))
        known = msgspec.json.decode(msgspec.json.encode(replace(self._last, history=())))  # its entries stay whole
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
        """Give the present file a second name: no copy, and never a moment without a good state."""
        real = os.path.realpath(self.path)
        name = f"{self.backup}.{os.getpid()}.tmp"
        try:
            os.link(real, name)
        except FileNotFoundError:  # somebody removed it: what we have in memory is still written
            return
        except OSError:  # a file system without hard links
            atomicfile.write_atomic(self.backup, atomicfile.read_bounded(self.path, MAX_BYTES))
            return
        os.replace(name, self.backup)  # noqa: PTH105 - os.replace is the documented atomic rename


def _keep_unknown(raw: dict[str, Any], known: dict[str, Any], new: dict[str, Any]) -> None:
    """Put the keys of ``raw`` that are not ours back where they stood, as far as that place still exists."""
    for key, value in raw.items():
        if key not in known:
            new.setdefault(key, value)
        elif isinstance(value, dict) and isinstance(known[key], dict) and isinstance(new.get(key), dict):
            _keep_unknown(value, known[key], new[key])


def _why(error: BaseException) -> str:
    return getattr(error, "strerror", None) or str(error)
