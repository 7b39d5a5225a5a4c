"""The spool's folders on the disk: what is queued, records, moves that lose and double nothing (docs/dispatch.md).

    queue/ -> running/ -> done/ or failed/      T, its text, and T.task.json beside it, its record

A move makes the record at the destination first, then renames the text: where the text is, there the task is. A record
without its text is a move that did not happen. Only a check moves into running/ and done/, under the state's lock;
`failoverctl task` may run beside it.
"""

import errno
import os
import stat
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from failover_oneshot.errors import EXIT_FAILED, FailoverError
from failover_oneshot.lib import atomicfile
from failover_oneshot.model import TaskTally
from failover_oneshot.tasks.task import Queued, TaskRecord
from failover_oneshot.tasks.text import decode

QUEUE, RUNNING, DONE, FAILED = "queue", "running", "done", "failed"
FOLDERS: Final = (QUEUE, RUNNING, DONE, FAILED)
SUFFIX: Final = ".task.json"
MAX_TEXT: Final = 1 << 20  # bytes; a prompt that long fits no agent
_MAX_RECORD: Final = 1 << 20
_LONGEST_NAME: Final = 200  # bytes; the record's name must fit too
_BEGUN: Final = 60.0  # seconds
_ORPHAN_AGE: Final = 5.0  # seconds; until then a record without its text may be somebody's move under way


class SpoolError(FailoverError):
    """The spool can't be used; the sentence says why, and what to do."""

    exit_code = EXIT_FAILED


class TaskGoneError(FailoverError):
    """The task isn't there any more."""


def counts(spool: str | Path) -> TaskTally:
    """How many tasks wait, run and have failed; folders that aren't there count as empty."""
    folder = Path(spool)
    return TaskTally(**{key: len(_names(folder / name)) for key, name in
                        (("waiting", QUEUE), ("running", RUNNING), ("failed", FAILED))})  # fmt: skip


def is_task(name: str) -> bool:
    """Whether a file of this name is a task: not hidden, not half written, no editor's backup, no record."""
    return not name.startswith(".") and not name.endswith(("~", ".tmp", ".part", SUFFIX))


def _names(folder: Path) -> list[str]:
    try:
        return [name for name in os.listdir(folder) if is_task(name)]  # noqa: PTH208 - the names alone
    except OSError:
        return []


class Spool:
    """One spool."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def prepare(self) -> None:
        """Make the folders that are missing, for nobody else's eyes. Raises SpoolError."""
        try:
            for path in (self.folder, *(self.folder / name for name in FOLDERS)):
                path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except FileExistsError as error:
            raise SpoolError(f"{error.filename} is not a folder: move it away") from None
        except OSError as error:
            raise SpoolError(f"{error.filename} can't be made: {error.strerror}") from None
        self.verify()

    def verify(self) -> None:
        """Raises SpoolError when the folders are not ours alone: whoever can write there gives orders to the agents.

        A folder that is missing is fine: it is empty.
        """
        for path in (self.folder, *(self.folder / name for name in FOLDERS)):
            try:
                info = path.lstat()
            except FileNotFoundError:
                continue
            except OSError as error:
                raise SpoolError(f"{path} can't be read: {error.strerror}") from None
            if stat.S_ISLNK(info.st_mode):
                raise SpoolError(f"{path} is a symbolic link: name the folder itself in dispatch.spool")
            if not stat.S_ISDIR(info.st_mode):
                raise SpoolError(f"{path} is not a folder: move it away")
            if info.st_uid != os.geteuid():
                raise SpoolError(
                    f"{path} belongs to another user (uid {info.st_uid}): chown it, or name another folder"
                )
            if info.st_mode & stat.S_IWOTH:
                raise SpoolError(f"{path} can be written to by everybody: chmod o-w {path}")

    # -- looking -------------------------------------------------------------------------------------------------------

    def queued(self, now: datetime) -> list[Queued]:
        """What is in the queue, in no order; an empty file that is new is left out: somebody begins to write it."""
        found = []
        for name in _names(self.folder / QUEUE):
            try:
                info = (self.folder / QUEUE / name).lstat()
            except OSError:
                continue  # cancelled meanwhile
            problem = _problem(info)
            if not problem and info.st_size == 0 and now.timestamp() - info.st_mtime < _BEGUN:
                continue
            record = TaskRecord() if problem else self.record(QUEUE, name)
            found.append(Queued(name=name, changed=info.st_mtime, record=record, problem=problem))
        return found

    def names(self, state: str) -> list[str]:
        """The tasks in one of the four folders, sorted."""
        return sorted(_names(self.folder / state))

    def record(self, state: str, name: str) -> TaskRecord:
        """A task's record; a blank one when there is none, or it can't be read."""
        try:
            data = atomicfile.read_bounded(self.folder / state / (name + SUFFIX), _MAX_RECORD)
            return msgspec.json.decode(data, type=TaskRecord)
        except (OSError, ValueError, msgspec.MsgspecError, RecursionError):
            return TaskRecord()

    def text(self, state: str, name: str) -> str:
        """A task's text as it is pasted. Raises ValueError with the reason when it is none, Gone, OSError."""
        path = self.folder / state / name
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise TaskGoneError(name) from None
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise ValueError("it is a symbolic link") from None
            raise ValueError(f"it can't be read: {error.strerror}") from None
        with os.fdopen(fd, "rb") as file:
            if problem := _problem(os.fstat(fd)):
                raise ValueError(problem)
            data = file.read(MAX_TEXT + 1)
        if len(data) > MAX_TEXT:
            raise ValueError(f"it is larger than {MAX_TEXT >> 20} MiB")
        return decode(data)

    def being_written(self, name: str) -> bool:
        """Whether somebody has this queued file open for writing, as far as the system tells (a lease, fcntl(2))."""
        import fcntl
        import signal

        # Who opens the file while the lease is held makes the kernel send this, which would end us.
        before = signal.signal(signal.SIGIO, signal.SIG_IGN)
        try:
            with (self.folder / QUEUE / name).open("rb") as file:
                fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_RDLCK)
                fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        except BlockingIOError:
            return True
        except (OSError, AttributeError):  # another file system, another system
            return False
        finally:
            signal.signal(signal.SIGIO, before)
        return False

    # -- changing ------------------------------------------------------------------------------------------------------

    def update(self, state: str, name: str, record: TaskRecord) -> None:
        """Replace a task's record, durably. Raises OSError."""
        atomicfile.write_atomic(self.folder / state / (name + SUFFIX), _encode(record))

    def move(self, name: str, source: str, target: str, record: TaskRecord) -> str:
        """Move a task, its new record first; the name that it has there, another one when its own is taken.

        Raises Gone when somebody else was quicker, OSError; the task is then where it was.
        """
        for new in _candidates(name):
            if os.path.lexists(self.folder / target / new):
                continue
            try:
                self._reserve(target, new, record)
            except FileExistsError:
                continue
            beside = self.folder / target / (new + SUFFIX)
            try:
                _rename(self.folder / source / name, self.folder / target / new, exclusive=target == QUEUE)
            except FileNotFoundError:
                atomicfile.remove(beside)
                raise TaskGoneError(name) from None
            except FileExistsError:  # dropped there by hand meanwhile
                atomicfile.remove(beside)
                continue
            except OSError:
                atomicfile.remove(beside)
                raise
            atomicfile.sync_folder(self.folder / target)
            atomicfile.remove(self.folder / source / (name + SUFFIX))
            atomicfile.sync_folder(self.folder / source)
            return new
        raise OSError(errno.EEXIST, "too many tasks of the same name", name)

    def add(self, name: str, data: bytes, record: TaskRecord) -> None:
        """Put a new task into the queue, whole or not at all. Raises OSError."""
        queue = self.folder / QUEUE
        temporary = atomicfile.write_temporary(queue / name, data)
        try:
            self._reserve(QUEUE, name, record)
            _rename(temporary, queue / name, exclusive=True)
        finally:
            atomicfile.remove(temporary)
        atomicfile.sync_folder(queue)

    def tidy(self, now: datetime) -> None:
        """Mend what a killed run left: a text that was on its way into the queue, a record without its text."""
        found = {state: _inodes(self.folder / state) for state in FOLDERS}
        queued = {inode for name, inode in found[QUEUE].items() if is_task(name)}
        for state in (RUNNING, DONE, FAILED):
            for name in [name for name, inode in found[state].items() if inode in queued and is_task(name)]:
                info = _lstat(self.folder / state / name)
                if info and info.st_nlink > 1:  # for a moment it has two names; the one in the queue stays
                    atomicfile.remove(self.folder / state / name)
                    del found[state][name]
        for state, names in found.items():
            for name in names:
                if name.endswith(SUFFIX) and name.removesuffix(SUFFIX) not in names:
                    self._forget(self.folder / state / name, 0.0 if state in {RUNNING, DONE} else _ORPHAN_AGE, now)
        atomicfile.clean_leftovers(self.folder / RUNNING, 0.0)  # no other check runs now
        atomicfile.clean_leftovers(self.folder / QUEUE)

    def _forget(self, record: Path, older_than: float, now: datetime) -> None:
        """Remove a record without a text; nobody but a check moves into running/ and done/, elsewhere it may be new."""
        info = _lstat(record)
        if info and now.timestamp() - info.st_mtime >= older_than:
            atomicfile.remove(record)

    def prune(self, now: datetime, keep: float, count: int) -> int:
        """Take away tasks that were done more than `keep` seconds ago, and all but the newest `count`; how many."""
        done = self.folder / DONE
        aged = []
        for name in _names(done):
            try:
                aged.append(((done / (name + SUFFIX)).stat().st_mtime, name))
            except OSError:  # put there by hand: not ours to take away
                continue
        aged.sort(reverse=True)
        old = [name for at, name in aged[:count] if now.timestamp() - at > keep] + [name for _, name in aged[count:]]
        for name in old:
            atomicfile.remove(done / name)
            atomicfile.remove(done / (name + SUFFIX))
        return len(old)

    def _reserve(self, state: str, name: str, record: TaskRecord) -> None:
        """Make the record under a name that has none. Raises FileExistsError."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(self.folder / state / (name + SUFFIX), flags, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(_encode(record))
            file.flush()
            os.fsync(fd)


def _encode(record: TaskRecord) -> bytes:
    return msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n"


def _problem(info: os.stat_result) -> str:
    """Why a file is no task, whatever is in it."""
    if stat.S_ISLNK(info.st_mode):
        return "it is a symbolic link"
    if not stat.S_ISREG(info.st_mode):
        return "it is not a regular file"
    if info.st_uid != os.geteuid():
        return f"it belongs to another user (uid {info.st_uid})"
    if info.st_size > MAX_TEXT:
        return f"it is larger than {MAX_TEXT >> 20} MiB"
    return ""


def _candidates(name: str) -> list[str]:
    raw = os.fsencode(name)
    if len(raw) > _LONGEST_NAME:
        name = os.fsdecode(raw[:_LONGEST_NAME])
    return [name, *(f"{name}.{number}" for number in range(2, 1000))]


def _inodes(folder: Path) -> dict[str, int]:
    try:
        with os.scandir(folder) as entries:
            return {entry.name: entry.inode() for entry in entries}
    except OSError:
        return {}


def _lstat(path: Path) -> os.stat_result | None:
    try:
        return path.lstat()
    except OSError:
        return None


def _rename(source: Path, target: Path, *, exclusive: bool) -> None:
    """Rename a file; `exclusive`: where strangers drop files, never over one of theirs."""
    if exclusive:
        try:
            os.link(source, target, follow_symlinks=False)
        except (FileExistsError, FileNotFoundError):
            raise
        except OSError:  # no links on this file system: the moment between question and answer has to do
            if os.path.lexists(target):
                raise FileExistsError(target) from None
        else:
            atomicfile.remove(source)
            return
    os.rename(source, target)  # noqa: PTH104
