"""Replace several files as one: all of them, or none.

Each new file waits, complete, beside the live one, under a name that the journal's note determines. Then it is renamed.
A rename removes the waiting name in the instant in which it replaces the live file. So a later run can tell for each
file whether it was replaced, whatever was written to it since: its waiting file is gone.
"""

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from failover_oneshot.accounts.kept import LIMIT
from failover_oneshot.accounts.method import MethodError
from failover_oneshot.config import linked
from failover_oneshot.config.model import Account, Config
from failover_oneshot.lib import atomicfile, procfs


class ChangedError(Exception):
    """Another program changed a live file after it was read. Nothing was done; read it again."""


class FileChange(Struct, frozen=True):
    """One file's content before (None: no file) and after."""

    path: Path  # links resolved
    before: bytes | None
    after: bytes

    def __repr__(self) -> str:
        """The path only: the contents are secret."""
        return f"Change({self.path})"


def new_note() -> dict[str, str]:
    """A new note. Its `token` is part of the waiting files' names."""
    return {"token": os.urandom(8).hex()}


def waiting(path: Path, number: int, note: Mapping[str, str]) -> Path:
    """The path at which the new version of the method's `number`-th file waits."""
    return path.parent / f"{atomicfile.PREFIX}{note['token']}-{number}"


def is_replaced(path: Path, number: int, note: Mapping[str, str]) -> bool:
    """Whether an install under that note replaced the file; false for an empty note."""
    return "token" in note and not waiting(path, number, note).exists()


def stage(changes: Sequence[FileChange], note: Mapping[str, str]) -> None:
    """Write the new versions beside the live files. On MethodError none is left behind."""
    try:
        for number, change in enumerate(changes):
            if change.after != change.before:
                _wait(change, waiting(change.path, number, note))
    except (OSError, ValueError) as error:
        discard([change.path for change in changes], note)
        raise MethodError(f"cannot replace the live files: {why(error)}") from None


def commit(changes: Sequence[FileChange], note: Mapping[str, str], guard: Callable[[FileChange], None]) -> None:
    """Make the new versions the live ones. On an error every live file is restored and the new ones wait again.

    `guard` is called before each file is replaced and may raise. MethodError has `restored` false when the rollback
    failed too.
    """
    todo = [(n, change) for n, change in enumerate(changes) if change.after != change.before]
    olds: dict[int, Path] = {}
    done: list[tuple[int, FileChange]] = []
    try:
        for number, change in todo:
            _wait(change, waiting(change.path, number, note))
            if change.before is not None:  # so that a rollback needs no free disk space
                olds[number] = atomicfile.write_temporary(change.path, change.before)
        for number, change in todo:
            guard(change)
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
            raise MethodError(
                f"cannot replace the live files: {why(error)}; cannot restore {where}", restored=False
            ) from None
        if isinstance(error, MethodError | ChangedError):
            raise
        raise MethodError(f"cannot replace the live files: {why(error)}") from None
    finally:
        for old in olds.values():
            atomicfile.remove(old)


def discard(paths: Sequence[Path], note: Mapping[str, str]) -> None:
    """Remove the waiting files of a note."""
    if "token" in note:
        for number, path in enumerate(paths):
            atomicfile.remove(waiting(path, number, note))


def refuse_mounts(paths: Sequence[Path]) -> None:
    """Raise MethodError for a file that is a mount point: it cannot be replaced in one step (EBUSY)."""
    mounted = procfs.mount_points()
    for path in paths:
        if str(path) in mounted:
            raise MethodError(
                f"{path} is a mount of its own, and a mounted file cannot be replaced; mount its folder instead"
            )


def refuse_links(config: Config, folder: Path) -> None:
    """Raise MethodError if a live or stored file is also another file, or a kept copy below the state's ``folder``."""
    for clash in linked.clashes(config, linked.kept_folders(folder)):
        raise MethodError(f"{clash.text}; {clash.remedy}")


def clean_leftovers(live: Sequence[Path], accounts: Sequence[Account], folder: Path) -> None:
    """Remove what killed runs left a day ago or more beside live files, in the stores and the state's ``folder``."""
    stores = {Path(account.store) for account in accounts if account.store}
    for place in {path.parent for path in live} | stores | {folder, *linked.kept_folders(folder)}:
        atomicfile.clean_leftovers(place)


def read(path: Path) -> bytes | None:
    """A live file's content; None when it does not exist."""
    try:
        return atomicfile.read_bounded(path, LIMIT)
    except FileNotFoundError:
        return None


def why(error: BaseException) -> str:
    """The error as text that names the file, such as `/path/file: No space left on device`."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error)


def cannot_read(error: OSError | ValueError) -> str:
    """The error of a file that could not be read, as text: `cannot read /path/file: Permission denied`."""
    return f"cannot read {why(error)}" if isinstance(error, OSError) else str(error)


def _same(change: FileChange) -> None:
    if read(change.path) != change.before:
        raise ChangedError(f"another program changed {change.path}")


def _wait(change: FileChange, place: Path) -> None:
    """Put the complete new version at `place`, replacing an earlier one in one step."""
    if read(place) == change.after:
        return
    temporary = atomicfile.write_temporary(change.path, change.after)
    try:
        atomicfile.put(temporary, place)
    except BaseException:
        atomicfile.remove(temporary)
        raise


def _back(change: FileChange, place: Path, old: Path | None) -> bool:
    """Restore the previous version, unless another program wrote the file since; true on success."""
    try:
        now = read(change.path)
        if now == change.before:
            return True
        if now != change.after:
            return False
        with contextlib.suppress(OSError, ValueError):
            _wait(change, place)  # rolled back: its new version waits again
        if old is None:
            atomicfile.remove(change.path)
        else:
            with contextlib.suppress(FileNotFoundError):
                atomicfile.put(old, change.path)
        return read(change.path) == change.before
    except (OSError, ValueError):
        return False
