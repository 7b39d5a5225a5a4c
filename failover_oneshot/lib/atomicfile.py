"""Files that survive a crash: every write is whole or not there, and nobody else could read it in between.

Errors are `OSError`, and `ValueError` for a file that is too large or no regular file; none quotes a file's content.
Temporaries carry a name of their own (`PREFIX`), so that those of a killed run are recognised.
"""

import errno
import os
import stat
import time
from pathlib import Path

PREFIX = ".failover-tmp-"
LEFTOVER_AGE = 24 * 3600.0  # seconds; a swap lasts seconds, so what is older belongs to no living run


def read_bounded(path: str | Path, limit: int) -> bytes:
    """The content of a regular file of at most `limit` bytes; links are followed.

    ValueError for a larger one, and for a folder, pipe, socket or device (which could block or never end).
    """
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        info = os.fstat(fd)
        if not stat.S_ISREG(info.st_mode):
            raise ValueError(f"{path} is not a regular file")
        parts: list[bytes] = []
        size = 0
        while chunk := os.read(fd, 1 << 20):
            parts.append(chunk)
            size += len(chunk)
            if size > limit:
                raise ValueError(f"{path} is larger than {limit} bytes")
        return b"".join(parts)
    finally:
        os.close(fd)


def shared(path: str | Path) -> str | None:
    """Why somebody else could write that file or put another in its place, with the mend; None when nobody could.

    Neither the file nor its folder need exist; a link is looked at as well as what it leads to. We trust our own user,
    root, and a user's private group (its number is the user's): with that goes the umask 002 of many systems. OSError
    when it can not be made out.
    """
    for place in sorted({str(Path(path).absolute()), os.path.realpath(path)}):
        folder = os.path.dirname(place)  # noqa: PTH120
        if (around := _lstat(folder)) is None:
            continue
        for name, info in ((folder, around), (place, _lstat(place))):
            if info is None:
                continue
            if info.st_uid not in {os.geteuid(), 0}:
                return f"{name} belongs to another user (uid {info.st_uid}): run this as that user, or move it"
            writers = stat.S_IWOTH if info.st_gid == info.st_uid else stat.S_IWOTH | stat.S_IWGRP
            if stat.S_ISLNK(info.st_mode) or not info.st_mode & writers:
                continue
            if name == folder or around.st_mode & (stat.S_IXGRP | stat.S_IXOTH):  # a closed folder protects its files
                return f"{name} can be written by others, who may have forged it: look, then `chmod go-w '{name}'`"
    return None


def _lstat(path: str) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except FileNotFoundError:
        return None


def real_path(path: str | Path) -> Path:
    """The file that a path means, its links resolved; it need not exist. ELOOP for links that go in a circle."""
    real = os.path.realpath(path)
    if os.path.islink(real):  # noqa: PTH114 (realpath leaves a circle unresolved, and a rename would replace the link)
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
    return Path(real)


def write_atomic(path: str | Path, data: bytes, mode: int = 0o600, backup: str | Path | None = None) -> None:
    """Makes `data` the whole content of the file, or leaves it as it was.

    Links are followed to the real file. A new file gets `mode`; one that exists keeps its own mode where that is not
    wider. With `backup` the version before is there, under that name, from before the change on.
    """
    target = real_path(path)
    if backup is not None:
        try:
            before = read_bounded(target, 1 << 30)
        except FileNotFoundError:
            pass
        else:
            write_atomic(backup, before, mode)
    temporary = write_temporary(target, data, mode)
    try:
        put(temporary, target)
    except BaseException:
        remove(temporary)
        raise


def write_temporary(target: Path, data: bytes, mode: int = 0o600, name: str | None = None) -> Path:
    """A complete, durable file beside `target` (an already real path) that waits to be renamed to it.

    It is 0600 before its content is written. EEXIST when `name` is taken; ValueError when `target` is no regular file.
    """
    try:
        info = os.lstat(target)
    except FileNotFoundError:
        info = None
    if info is not None and not stat.S_ISREG(info.st_mode):
        raise ValueError(f"{target} is not a regular file")
    temporary = target.parent / (name or PREFIX + os.urandom(8).hex())
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(fd, view) :]
            if info is not None and (info.st_uid, info.st_gid) != (os.geteuid(), os.getegid()):
                _keep_owner(fd, info)
            final = mode if info is None else stat.S_IMODE(info.st_mode) & mode
            if final != 0o600:
                os.fchmod(fd, final)
            os.fsync(fd)
        finally:
            os.close(fd)
    except BaseException:
        remove(temporary)
        raise
    return temporary


def put(temporary: Path, target: Path) -> None:
    """Renames the temporary to `target`, durably. When only the last step fails, it is renamed already."""
    os.replace(temporary, target)  # noqa: PTH105
    sync_folder(target.parent)


def sync_folder(folder: Path) -> None:
    """Makes the folder's names durable; a file system that can not (EINVAL) is taken as it is."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    finally:
        os.close(fd)


def remove(path: str | Path) -> None:
    """Takes a file away; one that is gone or can not be taken away is let be."""
    try:
        os.unlink(path)  # noqa: PTH108
    except OSError:
        return


def clean_leftovers(folder: str | Path, older_than: float = LEFTOVER_AGE) -> int:
    """Takes away temporaries that killed runs left in the folder, and says how many.

    Only what is certainly ours: the name, a regular file, our user's, 0600 or narrower, untouched for `older_than`
    seconds. A folder that can not be read is let be.
    """
    try:
        with os.scandir(folder) as entries:
            found = [entry for entry in entries if entry.name.startswith(PREFIX)]
    except OSError:
        return 0
    count = 0
    for entry in found:
        try:
            info = entry.stat(follow_symlinks=False)
        except OSError:
            continue
        ours = stat.S_ISREG(info.st_mode) and info.st_uid == os.geteuid() and not stat.S_IMODE(info.st_mode) & 0o177
        if ours and time.time() - info.st_mtime > older_than:
            remove(entry.path)
            count += 1
    return count


def _keep_owner(fd: int, info: os.stat_result) -> None:
    """A file that root replaces for its user stays that user's; where this is not allowed the new file is ours."""
    try:
        os.fchown(fd, info.st_uid, info.st_gid)
    except PermissionError:
        return
