"""The live files of Claude Code: read as tolerantly as it reads them itself, and whose credentials they hold."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from failover_oneshot.accounts import credentials, json_document, kept, staged
from failover_oneshot.accounts.credentials import IDENTITY, Identity, Tokens
from failover_oneshot.accounts.json_document import Document
from failover_oneshot.accounts.memory import Memory
from failover_oneshot.accounts.method import MethodError
from failover_oneshot.accounts.ownership import Clues, Evidence, Verdict, owner_of
from failover_oneshot.accounts.store import CREDENTIALS, read_store
from failover_oneshot.config.model import Account
from failover_oneshot.lib import atomicfile

PATIENCE = 2.0  # seconds for a file that another program is just writing
POLL_EVERY = 0.05  # seconds


class HalfWrittenError(MethodError):
    """A file does not parse: another program may be just writing it."""


class LiveCredentials(Struct, frozen=True):
    """The two live files as read; None for a document that does not exist. ``raw`` is what their bytes were."""

    paths: tuple[Path, Path]  # the credentials, the settings; links resolved
    raw: tuple[bytes | None, bytes | None]
    credentials: Document | None  # None also for an empty file
    settings: Document | None
    tokens: Tokens | None
    identity: Identity | None

    def __repr__(self) -> str:
        """The paths only: the contents are secret."""
        return f"LiveCredentials({self.paths})"


def read(credentials_file: Path, settings_file: Path, *, patient: bool) -> LiveCredentials:
    """Read both files; ``patient``: wait a moment for one that is half written.

    MethodError when one is too large or not a regular file, HalfWrittenError when one is not a JSON object.
    """
    deadline = time.monotonic() + (PATIENCE if patient else 0.0)
    while True:
        try:
            return _read(credentials_file, settings_file)
        except HalfWrittenError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(POLL_EVERY)


def _read(credentials_file: Path, settings_file: Path) -> LiveCredentials:
    try:
        paths = atomicfile.real_path(credentials_file), atomicfile.real_path(settings_file)
        raw = staged.read(paths[0]), staged.read(paths[1])
        found = _parsed(paths[0], raw[0] or None)  # Claude Code takes an empty file for none
        settings = _parsed(paths[1], raw[1])
    except (OSError, ValueError) as error:
        raise MethodError(staged.cannot_read(error)) from None
    return LiveCredentials(
        paths=paths,
        raw=raw,
        credentials=found,
        settings=settings,
        tokens=credentials.tokens_of(found.values) if found else None,
        identity=credentials.identity_of(settings.values.get(IDENTITY)) if settings else None,
    )


def _parsed(path: Path, data: bytes | None) -> Document | None:
    try:
        return None if data is None else json_document.parse(data)
    except ValueError as error:
        raise HalfWrittenError(f"{path} is {error}; left unchanged") from None


def verdict(
    live: LiveCredentials,
    note: Mapping[str, str],
    presumed: str | None,
    accounts: Sequence[Account],
    memory: Memory,
) -> Verdict:
    """Whose the live credentials are. ``note``: of the install that is being finished or undone, else empty."""
    if live.tokens is None:
        return Verdict(None, Evidence.NONE, "there are no live credentials")
    stores = [read_store(account).known for account in accounts]
    replaced = staged.is_replaced(live.paths[0], 0, note)
    known = credentials.holders(live.tokens, stores) or credentials.in_lineage(live.tokens, memory.lineage)
    if not known:
        known = tuple(a.name for a in accounts if live.tokens.token in replaced_tokens(memory, a.name))
    return owner_of(
        Clues(
            named=credentials.named(live.tokens, stores),
            excluded=credentials.excluded(live.tokens, stores),
            known=known,
            identity=credentials.identified(live.identity, stores),
            installed=note.get("incoming") if replaced else memory.installed,
            unfinished=half_installed(live, note),
            presumed=presumed,
            empty=tuple(store.name for store in stores if store.empty),
        )
    )


def half_installed(live: LiveCredentials, note: Mapping[str, str]) -> bool:
    """Whether an install under that note has replaced the credentials, but not yet the identity."""
    if not staged.is_replaced(live.paths[0], 0, note) or staged.is_replaced(live.paths[1], 1, note):
        return False
    return credentials.fits(note.get("identity", ""), credentials.key(live.identity))


def tokens_in(data: bytes) -> Tokens | None:
    """The tokens in the bytes of a `.credentials.json`; None when there are none."""
    try:
        return credentials.tokens_of(json_document.parse(data).values)
    except ValueError:
        return None


def holds(file: Path, tokens: Tokens) -> bool:
    """Whether the file holds these tokens."""
    try:
        data = staged.read(file)
    except (OSError, ValueError):
        return False
    found = tokens_in(data or b"")
    return found is not None and found.token == tokens.token


def replaced_tokens(memory: Memory, account: str) -> frozenset[str]:
    """The tokens of an account's generations."""
    found = set()
    for entry in kept.entries(kept.generations(memory.folder, account)):
        try:
            tokens = tokens_in(entry.contents().get(CREDENTIALS.lstrip("."), b""))
        except (OSError, ValueError):
            continue
        if tokens:
            found.add(tokens.token)
    return frozenset(found)
