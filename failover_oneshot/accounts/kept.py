"""Folders of kept credentials: complete copies under names that are never reused.

Beside the state, `unclaimed/` holds credentials that no store may take, and `generations/NAME/` the replaced ones of an
account. An entry is a set of files `<UTC time>-<digest>.<name>`, without the leading dot of their names.
"""

import os
import re
import stat
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from msgspec import Struct

from failover_oneshot.config import linked
from failover_oneshot.lib import atomicfile

UNCLAIMED = "unclaimed"
GENERATIONS = "generations"
KEPT_FOR = 30 * 24 * 3600.0  # seconds, since a generation was last replaced
LIMIT = 64 * 1024 * 1024  # bytes: as much as Claude Code reads
_NAME = re.compile(r"(\d{8}T\d{6}Z-[0-9a-f]{16})\.(.+)", re.ASCII)


class Entry(Struct, frozen=True):
    """One set of kept files. ``files`` maps their names, without a leading dot, to their paths."""

    id: str
    at: datetime  # UTC: when these credentials were last replaced or found without an owner
    files: dict[str, Path]

    def contents(self) -> dict[str, bytes]:
        """The files' contents by name. OSError or ValueError when one cannot be read."""
        return {name: atomicfile.read_bounded(path, LIMIT) for name, path in self.files.items()}


def generations(folder: Path, account: str) -> Path:
    """The folder of an account's generations, below the folder of the state."""
    return folder / GENERATIONS / account


def previous(path: Path) -> Path:
    """The path of a store file's previous version, beside it."""
    return path.with_name(path.name + linked.PREVIOUS)


def keep(folder: Path, files: Mapping[str, bytes], key: bytes | None = None) -> str:
    """Keep the files in the folder, and return the entry's id.

    Files with the same ``key`` (default: their contents) are kept once; their entry then becomes the newest. OSError or
    ValueError when a file cannot be written; the caller must then overwrite nothing.
    """
    from hashlib import sha256

    parts = [key] if key is not None else [part for name in sorted(files) for part in (name.encode(), files[name])]
    digest = sha256(b"\0".join(parts)).hexdigest()[:16]
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)  # its mode would not apply as a parent
    folder.mkdir(mode=0o700, exist_ok=True)
    known = next((entry for entry in entries(folder) if entry.id.endswith(digest)), None)
    chosen = known.id if known else f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{digest}"
    for name, content in files.items():
        path = entry_file(folder, chosen, name)
        if _holds(path, content):
            os.utime(path)
        else:
            atomicfile.write_atomic(path, content)
    return chosen


def entry_file(folder: Path, key: str, name: str) -> Path:
    """The path of one file of an entry."""
    return folder / f"{key}.{name.lstrip('.')}"


def rename(folder: Path, old: str, new: str) -> None:
    """Let an account keep its generations under a new name; ignores what cannot be moved."""
    try:
        generations(folder, old).rename(generations(folder, new))
    except OSError:
        return


def entries(folder: Path) -> tuple[Entry, ...]:
    """The entries of a folder, the newest first; empty when it does not exist or cannot be read."""
    found: dict[str, dict[str, Path]] = {}
    try:
        names = os.listdir(folder)  # noqa: PTH208
    except OSError:
        return ()
    for name in names:
        if match := _NAME.fullmatch(name):
            found.setdefault(match[1], {})[match[2]] = folder / name
    made = [Entry(key, _newest(files), dict(sorted(files.items()))) for key, files in found.items()]
    return tuple(sorted(made, key=lambda entry: (entry.at, entry.id), reverse=True))


def prune(folder: Path) -> None:
    """Remove the generations that were replaced more than 30 days ago, but never the newest one."""
    for entry in entries(folder)[1:]:
        if time.time() - entry.at.timestamp() > KEPT_FOR:
            for path in entry.files.values():
                atomicfile.remove(path)


def is_elsewhere(path: Path, copy: Path) -> bool:
    """Whether the copy is a file of its own: not the file at ``path`` under another name."""
    try:
        there = copy.stat()
    except OSError:
        return False
    try:
        here = path.stat()
    except OSError:
        return True
    return (here.st_dev, here.st_ino) != (there.st_dev, there.st_ino)


def _holds(path: Path, content: bytes) -> bool:
    """Whether the path is a file of its own, no link, with that content."""
    try:
        info = path.lstat()
        alone = stat.S_ISREG(info.st_mode) and info.st_nlink == 1
        return alone and atomicfile.read_bounded(path, LIMIT) == content
    except (OSError, ValueError):
        return False


def _newest(files: Mapping[str, Path]) -> datetime:
    times = []
    for path in files.values():
        try:
            times.append(path.lstat().st_mtime)
        except OSError:
            continue
    return datetime.fromtimestamp(max(times, default=0.0), UTC)
