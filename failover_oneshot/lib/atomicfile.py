"""Reads and writes files safely: a write is atomic, durable, and private from the start.

Errors are `OSError`, and `ValueError` for a file that is too large or not a regular file. No error quotes a file's
content. Temporary files begin with `PREFIX`, so that the leftovers of a killed run are recognized.
"""

import errno
import os
import stat
import time
from contextlib import suppress
from pathlib import Path

PREFIX = ".failover-tmp-"
ASIDE = f"{PREFIX}aside-"  # of files and folders that were renamed to be removed
LEFTOVER_AGE = 24 * 3600.0  # a swap takes seconds, so an older file belongs to no running process


def read_bounded(path: str | Path, limit: int) -> bytes:
    """The content of a regular file of at most `limit` bytes. Follows links.

    Raises ValueError for a larger file, and for a folder, pipe, socket or device, which could block or never end.
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
    """Why other users can write or replace the file, with the command that fixes it; None if they cannot.

    Neither the file nor its folder need exist. For a link, both the link and its target are checked. The current
    user, root, and a user's private group (whose number is the user's) are trusted, because many systems use umask 002.
    Raises OSError when the owner or mode cannot be read.
    """
    for place in sorted({str(Path(path).absolute()), os.path.realpath(path)}):
        folder = os.path.dirname(place)  # noqa: PTH120
        if (around := _lstat(folder)) is None:
            continue
        for name, info in ((folder, around), (place, _lstat(place))):
            if info is None:
                continue
            if info.st_uid not in {os.geteuid(), 0}:
                return f"{name} belongs to another user (uid {info.st_uid}); run this as that user, or move it"
            writers = stat.S_IWOTH if info.st_gid == info.st_uid else stat.S_IWOTH | stat.S_IWGRP
            if stat.S_ISLNK(info.st_mode) or not info.st_mode & writers:
                continue
            if name == folder or around.st_mode & (stat.S_IXGRP | stat.S_IXOTH):  # a private folder protects its files
                return f"{name} is writable by other users; check its content, then run `chmod go-w '{name}'`"
    return None


def _lstat(path: str) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except FileNotFoundError:
        return None


def real_path(path: str | Path) -> Path:
    """The path with its links resolved. The file need not exist. Raises OSError (ELOOP) for circular links."""
    real = os.path.realpath(path)
    if os.path.islink(real):  # noqa: PTH114 (realpath does not resolve a circle, and a rename would replace the link)
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
    return Path(real)


def write_atomic(path: str | Path, data: bytes, mode: int = 0o600, backup: str | Path | None = None) -> None:
    """Replace the content of the file by `data`, or leave the file unchanged on an error.

    Follows links to the real file. A new file gets `mode`. An existing file keeps its mode where that is narrower. With
    `backup`, the previous version is written there before the change.
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
    """Write a durable temporary file beside `target` (a path without links); `put` then renames it.

    The file has mode 0600 before its content is written. Raises OSError (EEXIST) when `name` is taken, and ValueError
    when `target` is not a regular file.
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
    """Rename the temporary file to `target`, durably. If only the last step fails, the rename is already done."""
    os.replace(temporary, target)  # noqa: PTH105
    sync_folder(target.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in the folder durable. Ignores a file system that does not support this (EINVAL)."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    finally:
        os.close(fd)


def remove(path: str | Path) -> None:
    """Delete a file. Ignores a file that is missing or cannot be deleted."""
    try:
        os.unlink(path)  # noqa: PTH108
    except OSError:
        return


def remove_all(path: str | Path) -> None:
    """Delete a file, or a folder with its content. Ignores what is missing or cannot be deleted."""
    with suppress(OSError):
        if not stat.S_ISDIR(os.lstat(path).st_mode):
            os.unlink(path)  # noqa: PTH108
            return
        with suppress(PermissionError):  # an unreadable folder may be empty
            for name in os.listdir(path):  # noqa: PTH208
                remove_all(os.path.join(path, name))  # noqa: PTH118
        os.rmdir(path)  # noqa: PTH106


def clean_leftovers(folder: str | Path, older_than: float = LEFTOVER_AGE) -> int:
    """Delete the temporary files that killed runs left in the folder. Returns how many were found.

    Deletes only files that are certainly ours: by name, regular, of the current user, mode 0600 or narrower, and not
    modified for `older_than` seconds; and what was renamed to be removed. Ignores a folder that cannot be read.
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
        if _is_leftover(entry.name, info, older_than):
            remove_all(entry.path)
            count += 1
    return count


def _is_leftover(name: str, info: os.stat_result, older_than: float) -> bool:
    if info.st_uid != os.geteuid():
        return False
    if name.startswith(ASIDE):  # renaming sets the ctime; the time stamp is what another program wrote
        return time.time() - info.st_ctime > older_than
    private = stat.S_ISREG(info.st_mode) and not stat.S_IMODE(info.st_mode) & 0o177
    return private and time.time() - info.st_mtime > older_than


def _keep_owner(fd: int, info: os.stat_result) -> None:
    """Keep the owner of a file that root replaces for another user. Without permission the new file is ours."""
    try:
        os.fchown(fd, info.st_uid, info.st_gid)
    except PermissionError:
        return
