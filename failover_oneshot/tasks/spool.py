"""The spool's folders on disk: the queue, the records, and moves that neither lose nor duplicate a task.

    queue/ -> running/ -> done/ or failed/      T is the text; T.task.json beside it is the record

A move writes the record at the destination first, then renames the text. The task is where its text is; a record
without a text is a move that did not happen. Only a check moves tasks into running/ and done/, under the state lock.
`failoverctl task` may run at the same time. More in docs/dispatch.md.
"""

import errno
import os
import stat
from collections.abc import Callable
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
MAX_TEXT: Final = 1 << 20  # bytes; a longer prompt fits no agent
TOO_LARGE: Final = f"the text is larger than {MAX_TEXT >> 20} MiB"
_MAX_RECORD: Final = 1 << 20
_LONGEST_NAME: Final = 200  # bytes; leaves room for the record's suffix
_BEGUN: Final = 60.0  # seconds; a younger empty file may be one that someone is about to write
_ORPHAN_AGE: Final = 5.0  # seconds; a younger record without a text may belong to a move in progress


class SpoolError(FailoverError):
    """The spool cannot be used; the message says why and what to do."""

    exit_code = EXIT_FAILED


class TaskGoneError(FailoverError):
    """The task is no longer there: someone else moved it."""


def counts(spool: str | Path) -> TaskTally:
    """How many tasks are queued, running and failed. A missing folder counts as empty."""
    folder = Path(spool)
    return TaskTally(**{key: len(_names(folder / name)) for key, name in
                        (("waiting", QUEUE), ("running", RUNNING), ("failed", FAILED))})  # fmt: skip


def is_task(name: str) -> bool:
    """Whether a file name belongs to a task, not to a hidden or partial file, an editor's backup or a record."""
    return not name.startswith(".") and not name.endswith(("~", ".tmp", ".part", SUFFIX))


def _names(folder: Path) -> list[str]:
    try:
        return [name for name in os.listdir(folder) if is_task(name)]  # noqa: PTH208 - the names alone
    except OSError:
        return []


class Spool:
    """A spool folder and the tasks in it."""

    def __init__(self, folder: str | Path, guard: Callable[[], None] = lambda: None) -> None:
        """``guard`` is called before each change that needs the state lock; what it raises stops the change."""
        self.folder = Path(folder)
        self.guard = guard

    def prepare(self) -> None:
        """Create missing folders with mode 0700. Raises SpoolError."""
        try:
            for path in (self.folder, *(self.folder / name for name in FOLDERS)):
                path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except FileExistsError as error:
            raise SpoolError(f"{error.filename} is not a folder; move it elsewhere") from None
        except OSError as error:
            raise SpoolError(f"cannot create {error.filename}: {error.strerror}") from None
        self.verify()

    def verify(self) -> None:
        """Raise SpoolError unless the folders are ours alone: whoever can write there gives orders to the agents.

        A missing folder is fine; it counts as empty.
        """
        for path in (self.folder, *(self.folder / name for name in FOLDERS)):
            try:
                info = path.lstat()
            except FileNotFoundError:
                continue
            except OSError as error:
                raise SpoolError(f"cannot read {path}: {error.strerror}") from None
            if stat.S_ISLNK(info.st_mode):
                raise SpoolError(f"{path} is a symbolic link; set dispatch.spool to the folder itself")
            if not stat.S_ISDIR(info.st_mode):
                raise SpoolError(f"{path} is not a folder; move it elsewhere")
            if info.st_uid != os.geteuid():
                owner = f"{path} belongs to another user (uid {info.st_uid})"
                raise SpoolError(f"{owner}; run `sudo chown $USER {path}`, or use another folder")
            if info.st_mode & stat.S_IWOTH:
                raise SpoolError(f"{path} is writable by everyone; run `chmod o-w {path}`")

    # -- reading -------------------------------------------------------------------------------------------------------

    def queued(self, now: datetime) -> list[Queued]:
        """The files in the queue, in no order. A new empty file is left out: someone may be about to write it."""
        found = []
        for name in _names(self.folder / QUEUE):
            try:
                info = (self.folder / QUEUE / name).lstat()
            except OSError:
                continue  # canceled in the meantime
            problem = _problem(info)
            if not problem and info.st_size == 0 and now.timestamp() - info.st_mtime < _BEGUN:
                continue
            record = TaskRecord() if problem else self.record(QUEUE, name)
            found.append(Queued(name=name, changed=info.st_mtime, record=record, problem=problem))
        return found

    def names(self, state: str) -> list[str]:
        """The names of the tasks in one of the four folders, sorted."""
        return sorted(_names(self.folder / state))

    def record(self, state: str, name: str) -> TaskRecord:
        """The record of a task; a blank one when it is missing or cannot be read."""
        try:
            data = atomicfile.read_bounded(self.folder / state / (name + SUFFIX), _MAX_RECORD)
            return msgspec.json.decode(data, type=TaskRecord)
        except (OSError, ValueError, msgspec.MsgspecError, RecursionError):
            return TaskRecord()

    def text(self, state: str, name: str) -> str:
        """The text of a task as it is pasted. Raises TaskGoneError, OSError, or ValueError with the reason."""
        path = self.folder / state / name
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise TaskGoneError(name) from None
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise ValueError("the file is a symbolic link") from None
            raise ValueError(f"cannot read the file: {error.strerror}") from None
        with os.fdopen(fd, "rb") as file:
            if problem := _problem(os.fstat(fd)):
                raise ValueError(problem)
            data = file.read(MAX_TEXT + 1)
        if len(data) > MAX_TEXT:
            raise ValueError(TOO_LARGE)
        return decode(data)

    def being_written(self, name: str) -> bool:
        """Whether someone has this queued file open for writing, as far as the system can say."""
        import fcntl
        import signal

        # The kernel refuses a read lease (fcntl(2)) while the file is open for writing.
        # Opening the file while we hold the lease makes the kernel send SIGIO, which would kill this process.
        before = signal.signal(signal.SIGIO, signal.SIG_IGN)
        try:
            with (self.folder / QUEUE / name).open("rb") as file:
                fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_RDLCK)
                fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        except BlockingIOError:
            return True
        except (OSError, AttributeError):  # not supported by this file system or kernel
            return False
        finally:
            signal.signal(signal.SIGIO, before)
        return False

    # -- writing -------------------------------------------------------------------------------------------------------

    def update(self, state: str, name: str, record: TaskRecord) -> None:
        """Replace the record of a task durably. Raises OSError."""
        self.guard()
        atomicfile.write_atomic(self.folder / state / (name + SUFFIX), _encode(record))

    def move(self, name: str, source: str, target: str, record: TaskRecord) -> str:
        """Move a task, its new record first. Returns its name there: another one if its own was taken.

        Raises TaskGoneError when someone else moved it first, and OSError. The task is then where it was.
        """
        self.guard()
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
            except FileExistsError:  # dropped there by hand in the meantime
                atomicfile.remove(beside)
                continue
            except OSError:
                atomicfile.remove(beside)
                raise
            atomicfile.sync_folder(self.folder / target)
            atomicfile.remove(self.folder / source / (name + SUFFIX))
            atomicfile.sync_folder(self.folder / source)
            return new
        raise OSError(errno.EEXIST, "too many tasks with the same name", name)

    def add(self, name: str, data: bytes, record: TaskRecord) -> None:
        """Add a new task to the queue, whole or not at all. Raises OSError."""
        queue = self.folder / QUEUE
        temporary = atomicfile.write_temporary(queue / name, data)
        try:
            self._reserve(QUEUE, name, record)
            _rename(temporary, queue / name, exclusive=True)
        finally:
            atomicfile.remove(temporary)
        atomicfile.sync_folder(queue)

    def tidy(self, now: datetime) -> None:
        """Clean up after a killed check: texts on their way into the queue, records without texts."""
        self.guard()
        found = {state: _inodes(self.folder / state) for state in FOLDERS}
        queued = {inode for name, inode in found[QUEUE].items() if is_task(name)}
        for state in (RUNNING, DONE, FAILED):
            for name in [name for name, inode in found[state].items() if inode in queued and is_task(name)]:
                info = _lstat(self.folder / state / name)
                if info and info.st_nlink > 1:  # it has two names during the move; the one in the queue stays
                    atomicfile.remove(self.folder / state / name)
                    del found[state][name]
        for state, names in found.items():
            for name in names:
                if name.endswith(SUFFIX) and name.removesuffix(SUFFIX) not in names:
                    self._discard(self.folder / state / name, 0.0 if state in {RUNNING, DONE} else _ORPHAN_AGE, now)
        atomicfile.clean_leftovers(self.folder / RUNNING, 0.0)  # no other check is running
        atomicfile.clean_leftovers(self.folder / QUEUE)

    def _discard(self, record: Path, older_than: float, now: datetime) -> None:
        """Remove a record without a text, unless it is younger than this many seconds: a move may be in progress."""
        info = _lstat(record)
        if info and now.timestamp() - info.st_mtime >= older_than:
            atomicfile.remove(record)

    def prune(self, now: datetime, keep: float, count: int) -> int:
        """Remove tasks done more than ``keep`` seconds ago, and all but the newest ``count``. Returns how many."""
        self.guard()
        done = self.folder / DONE
        aged = []
        for name in _names(done):
            try:
                aged.append(((done / (name + SUFFIX)).stat().st_mtime, name))
            except OSError:  # put there by hand, so not ours to remove
                continue
        aged.sort(reverse=True)
        old = [name for at, name in aged[:count] if now.timestamp() - at > keep] + [name for _, name in aged[count:]]
        for name in old:
            atomicfile.remove(done / name)
            atomicfile.remove(done / (name + SUFFIX))
        return len(old)

    def _reserve(self, state: str, name: str, record: TaskRecord) -> None:
        """Create the record under a name that has none yet. Raises FileExistsError."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(self.folder / state / (name + SUFFIX), flags, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(_encode(record))
            file.flush()
            os.fsync(fd)


def _encode(record: TaskRecord) -> bytes:
    return msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n"


def _problem(info: os.stat_result) -> str:
    """Why a file cannot be a task, whatever its content; "" when it can."""
    if stat.S_ISLNK(info.st_mode):
        return "the file is a symbolic link"
    if not stat.S_ISREG(info.st_mode):
        return "not a regular file"
    if info.st_uid != os.geteuid():
        return f"the file belongs to another user (uid {info.st_uid})"
    if info.st_size > MAX_TEXT:
        return TOO_LARGE
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
    """Rename a file. ``exclusive``: never replace an existing one, for folders where others drop files."""
    if exclusive:
        try:
            os.link(source, target, follow_symlinks=False)
        except (FileExistsError, FileNotFoundError):
            raise
        except OSError:  # no hard links on this file system: a short race remains
            if os.path.lexists(target):
                raise FileExistsError(target) from None
        else:
            atomicfile.remove(source)
            return
    os.rename(source, target)  # noqa: PTH104
