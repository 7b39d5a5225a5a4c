"""What an account's store contains: files, modes, identity, expiry. Read-only; no token leaves this module."""

import os
import shlex
import stat
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from msgspec import Struct

from failover_oneshot.accounts import credential_facts, json_document
from failover_oneshot.accounts.claude.store import CREDENTIALS, IDENTITY_FILE
from failover_oneshot.accounts.kept import LIMIT
from failover_oneshot.config.model import Account, Config, Method
from failover_oneshot.lib import atomicfile


class StoreContents(Struct, frozen=True, kw_only=True):
    """One file of a store."""

    name: str
    present: bool
    mode: str | None = None  # octal, such as "0600"
    size: int | None = None
    changed_at: datetime | None = None
    parses: bool | None = None  # None: not a kind of file that is parsed
    error: str | None = None  # why it cannot be read


class Inspection(Struct, frozen=True, kw_only=True):
    """One store."""

    mode: str | None  # of the folder
    files: tuple[StoreContents, ...]
    identity: str | None  # an e-mail address, otherwise another name from the files
    expires_at: datetime | None  # of the access token; the agent renews it
    exposed: tuple[str, ...]  # paths that other users can read or own, each with the command that fixes it


def inspect(config: Config, account: Account) -> Inspection:
    """Read the account's store. Missing and unreadable files are part of the result, not errors."""
    folder, names = _place(config, account)
    exposed: list[str] = []
    mode = _exposure(folder, 0o700, exposed) if folder and names and not account.env_file else None
    kept, contents = [], []
    for name in names:
        path = Path(folder or "", name)
        found, content = _look(path)
        kept.append(found)
        if found.present:
            _exposure(path, 0o600, exposed)
        contents.append(content)
    return Inspection(
        mode=mode,
        files=tuple(kept),
        identity=owner_of(contents),
        expires_at=expiry_of(contents),
        exposed=tuple(exposed),
    )


def stored(config: Config, account: Account) -> dict[str, bytes]:
    """The store's readable files, by name without a leading dot, as kept credentials have them."""
    folder, names = _place(config, account)
    found = {name.lstrip("."): _look(Path(folder or "", name)) for name in names}
    return {name: content for name, (file, content) in found.items() if file.present and not file.error}


def _place(config: Config, account: Account) -> tuple[Path | None, tuple[str, ...]]:
    """The store's folder and the names of its files; for method env the variables file."""
    match config.swap.method:
        case Method.CLAUDE if account.store:
            return Path(account.store), (CREDENTIALS, IDENTITY_FILE)
        case Method.FILES if account.store:
            return Path(account.store), tuple(Path(path).name for path in config.swap.files)
        case Method.ENV if account.env_file:
            return Path(account.env_file).parent, (Path(account.env_file).name,)
    return None, ()


def _look(path: Path) -> tuple[StoreContents, bytes]:
    try:
        content = atomicfile.read_bounded(path, LIMIT)
        info = path.stat()
    except FileNotFoundError:
        return StoreContents(name=path.name, present=False), b""
    except (OSError, ValueError) as error:
        return StoreContents(name=path.name, present=True, error=getattr(error, "strerror", None) or str(error)), b""
    parses = None
    if path.suffix == ".json":
        try:
            json_document.parse(content)
            parses = True
        except ValueError:
            parses = False
    kept = StoreContents(
        name=path.name,
        present=True,
        mode=f"{stat.S_IMODE(info.st_mode):04o}",
        size=info.st_size,
        changed_at=_instant(info.st_mtime),
        parses=parses,
    )
    return kept, content


def _exposure(path: Path, wanted: int, exposed: list[str]) -> str | None:
    """The mode in octal; a problem with it is added to ``exposed``."""
    try:
        info = path.stat()
    except OSError:
        return None
    mode = stat.S_IMODE(info.st_mode)
    if info.st_uid != os.geteuid():
        exposed.append(
            f"{path} belongs to another user (uid {info.st_uid}); run `sudo chown $USER {shlex.quote(str(path))}`"
        )
    elif mode & 0o077:
        exposed.append(f"{path} has mode {mode:04o}; run `chmod {wanted:o} {shlex.quote(str(path))}`")
    return f"{mode:04o}"


def owner_of(contents: Iterable[bytes]) -> str | None:
    """The owner that credential files name, as a person knows it: the e-mail address if there is one."""
    contents = list(contents)
    for content in contents:
        try:
            block = json_document.parse(content).values
        except ValueError:
            continue
        for key in ("emailAddress", "email"):
            if isinstance(block.get(key), str) and block[key].strip():
                return str(block[key]).strip()
    return next((found for content in contents if (found := credential_facts.identity(content))), None)


def expiry_of(contents: Iterable[bytes]) -> datetime | None:
    """When the access token in credential files expires; the agent renews it."""
    moments = [at for content in contents if (at := credential_facts.expires(content)) is not None]
    return _instant(max(moments)) if moments else None


def _instant(seconds: float) -> datetime | None:
    try:
        return datetime.fromtimestamp(int(seconds), UTC)
    except (OverflowError, ValueError, OSError):
        return None
