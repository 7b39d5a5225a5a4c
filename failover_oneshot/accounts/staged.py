"""Several files replaced as one: all of them, or none.

Each new file waits complete beside the live one under a name that the journal's note determines, and is then renamed.
As a rename takes the one name away in the instant in which it replaces the other, a later run can tell for each file,
whatever was written to it since, whether it had been replaced: its waiting file is gone.
"""

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from failover_oneshot.accounts.method import MethodError
from failover_oneshot.config.model import Account
from failover_oneshot.lib import atomicfile

LIMIT = 10 * 1024 * 1024  # bytes; no credentials file comes near


class ChangedError(Exception):
    """A live file was changed by somebody else since it was read: nothing was done, read it again."""


class FileChange(Struct, frozen=True):
    """One file's content before (None: there is none) and after."""

    path: Path  # the real one, links resolved
    before: bytes | None
    after: bytes

    def __repr__(self) -> str:
        """Without the contents."""
        return f"Change({self.path})"


def new_note() -> dict[str, str]:
    """The beginning of a note: what the names of the waiting files are made of."""
    return {"token": os.urandom(8).hex()}


def waiting(path: Path, number: int, note: Mapping[str, str]) -> Path:
    """Where the new version of the file, the `number`-th of its method, waits."""
    return path.parent / f"{atomicfile.PREFIX}{note['token']}-{number}"


def is_replaced(path: Path, number: int, note: Mapping[str, str]) -> bool:
    """Whether an install with that note had replaced the file; false without a note."""
    return "token" in note and not waiting(path, number, note).exists()


def stage(changes: Sequence[FileChange], note: Mapping[str, str]) -> None:
    """Writes the new versions beside the live files; all are on the disk, or MethodError and none."""
    try:
        for number, change in enumerate(changes):
            if change.after != change.before:
                _wait(change, waiting(change.path, number, note))
    except (OSError, ValueError) as error:
        discard([change.path for change in changes], note)
        raise MethodError(why(error)) from None


def commit(changes: Sequence[FileChange], note: Mapping[str, str], guard: Callable[[], None]) -> None:
    """Makes the new versions the live ones, or raises and leaves every file as it was, the new ones still waiting.

    `guard` is asked before each file and may raise. MethodError with `restored` false when even the undoing failed.
    """
    todo = [(n, change) for n, change in enumerate(changes) if change.after != change.before]
    olds: dict[int, Path] = {}
    done: list[tuple[int, FileChange]] = []
    try:
        for number, change in todo:
            _wait(change, waiting(change.path, number, note))
            if change.before is not None:  # so that undoing needs no room on the disk
                olds[number] = atomicfile.write_temporary(change.path, change.before)
        for number, change in todo:
            guard()
            _same(change)
            done.append((number, change))
            atomicfile.put(waiting(change.path, number, note), change.path)
    except (OSError, ValueError, MethodError, ChangedError) as error:
        stuck = [
            change.path
            for number, change in reversed(done)
            if not _back(change, waiting(change.path, number, note), olds.pop(number, None))
        ]
        if stuck:
            where = " and ".join(str(path) for path in stuck)
            raise MethodError(f"{why(error)}; and {where} could not be put back", restored=False) from None
        if isinstance(error, MethodError | ChangedError):
            raise
        raise MethodError(why(error)) from None
    finally:
        for old in olds.values():
            atomicfile.remove(old)


def discard(paths: Sequence[Path], note: Mapping[str, str]) -> None:
    """Takes the waiting files of a note away."""
    if "token" in note:
        for number, path in enumerate(paths):
            atomicfile.remove(waiting(path, number, note))


def clean_leftovers(live: Sequence[Path], accounts: Sequence[Account], unclaimed: Path) -> None:
    """Takes away what killed runs left a day ago or more: beside the live files, in the stores, beside the state."""
    stores = {Path(account.store) for account in accounts if account.store}
    for folder in {path.parent for path in live} | stores | {unclaimed, unclaimed.parent}:
        atomicfile.clean_leftovers(folder)


def read(path: Path) -> bytes | None:
    """A live file's content, None when there is none."""
    try:
        return atomicfile.read_bounded(path, LIMIT)
    except FileNotFoundError:
        return None


def why(error: BaseException) -> str:
    """An error as a sentence that names the file."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error)


def _same(change: FileChange) -> None:
    if read(change.path) != change.before:
        raise ChangedError(str(change.path))


def _wait(change: FileChange, place: Path) -> None:
    """The complete new version gets that name; an earlier one there is replaced, never missing in between."""
    if read(place) == change.after:
        return
    temporary = atomicfile.write_temporary(change.path, change.after)
    try:
        atomicfile.put(temporary, place)
    except BaseException:
        atomicfile.remove(temporary)
        raise


def _back(change: FileChange, place: Path, old: Path | None) -> bool:
    """Puts the version before back, unless somebody else has written the file since."""
    try:
        now = read(change.path)
        if now == change.before:
            return True
        if now != change.after:
            return False
        with contextlib.suppress(OSError, ValueError):
            _wait(change, place)  # not replaced after all: its new version waits again
        if old is None:
            atomicfile.remove(change.path)
        else:
            with contextlib.suppress(FileNotFoundError):
                atomicfile.put(old, change.path)
        return read(change.path) == change.before
    except (OSError, ValueError):
        return False
