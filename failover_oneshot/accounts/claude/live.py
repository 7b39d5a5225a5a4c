"""The live files of Claude Code, read as tolerantly as it reads them itself."""

import time
from pathlib import Path

from msgspec import Struct

from failover_oneshot.accounts import json_document, staged
from failover_oneshot.accounts.claude import credentials
from failover_oneshot.accounts.claude.credentials import IDENTITY, Identity, Tokens
from failover_oneshot.accounts.json_document import Document
from failover_oneshot.accounts.method import MethodError
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
        raise HalfWrittenError(f"{path} is {error}") from None


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
