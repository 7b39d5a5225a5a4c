"""A store of method `claude`: `.credentials.json` and `oauthAccount.json`, each with its previous version (`.prev`)."""

import os
from pathlib import Path
from typing import Any

from msgspec import Struct

from failover_oneshot.accounts import json_document
from failover_oneshot.accounts.credentials import StoredCredentials, identity_of, tokens_of, with_own_keys
from failover_oneshot.accounts.json_document import Document
from failover_oneshot.accounts.staged import cannot_read
from failover_oneshot.accounts.unclaimed import keep_unclaimed
from failover_oneshot.config.model import Account
from failover_oneshot.lib import atomicfile

CREDENTIALS = ".credentials.json"
IDENTITY_FILE = "oauthAccount.json"
LIMIT = 1024 * 1024  # bytes


class AccountStore(Struct, frozen=True):
    """A store as read. `problem` is one sentence that says why the account cannot be swapped to."""

    folder: Path | None
    known: StoredCredentials
    raw: bytes | None = None  # of .credentials.json
    credentials: Document | None = None
    identity: Document | None = None
    problem: str | None = None

    def __repr__(self) -> str:
        """The name only: the content holds secrets."""
        return f"Store({self.known.name})"

    def save_credentials(self, values: dict[str, Any], unclaimed: Path) -> bool:
        """Save the account's own keys of a live `.credentials.json`; true when that changed the store.

        The previous version stays as `.prev` if it held credentials; one that does not parse goes to `unclaimed`.
        OSError or ValueError when it cannot be written; the store is then unchanged.
        """
        path = _made(self.folder) / CREDENTIALS
        if self.raw and self.credentials is None:
            keep_unclaimed(unclaimed, {CREDENTIALS: self.raw})
        data = json_document.encode(with_own_keys(self.credentials or json_document.EMPTY, values))
        if data == self.raw:
            return False
        atomicfile.write_atomic(path, data, backup=previous(path) if self.known.tokens else None)
        return True

    def save_identity(self, block: dict[str, Any]) -> None:
        """Save the identity block; the previous version stays as `.prev`."""
        path = _made(self.folder) / IDENTITY_FILE
        if self.identity is None or self.identity.values != block:
            atomicfile.write_atomic(
                path, json_document.rendered(block), backup=previous(path) if self.identity else None
            )


def read_store(account: Account) -> AccountStore:
    """Read an account's store. Never raises; `problem` says what is wrong."""
    if not account.store:
        return AccountStore(None, StoredCredentials(account.name), problem="no store configured (accounts[].store)")
    folder = Path(account.store)
    raw, credentials, credentials_problem = _read(folder / CREDENTIALS)
    _, identity, identity_problem = _read(folder / IDENTITY_FILE)
    _, before, _ = _read(previous(folder / CREDENTIALS))
    known = StoredCredentials(
        name=account.name,
        tokens=tokens_of(credentials.values) if credentials else None,
        previous=tokens_of(before.values) if before else None,
        identity=identity_of(identity.values) if identity else None,
    )
    problem = _folder_problem(folder) or credentials_problem or identity_problem
    if not problem and not known.tokens:
        problem = f"credentials in {folder / CREDENTIALS} are blank; log in again"
    elif not problem and not known.identity:
        problem = f"{folder / IDENTITY_FILE} has neither accountUuid nor emailAddress"
    return AccountStore(folder, known, raw, credentials, identity, problem)


def previous(path: Path) -> Path:
    """The path of a store file's previous version."""
    return path.with_name(path.name + ".prev")


def _folder_problem(folder: Path) -> str | None:
    try:
        names = os.listdir(folder)  # noqa: PTH208
    except FileNotFoundError:
        return f"store {folder} does not exist"
    except NotADirectoryError:
        return f"store {folder} is not a folder"
    except OSError as error:
        return cannot_read(error)
    return None if names else f"store {folder} is empty"


def _read(path: Path) -> tuple[bytes | None, Document | None, str | None]:
    """A file's bytes, its document, and what is wrong with it."""
    try:
        raw = atomicfile.read_bounded(path, LIMIT)
    except FileNotFoundError:
        return None, None, f"{path} does not exist"
    except (OSError, ValueError) as error:
        return None, None, cannot_read(error)
    try:
        return raw, json_document.parse(raw), None
    except ValueError as error:
        return raw, None, f"{path} is {error}" if raw.strip() else f"{path} is empty"


def _made(folder: Path | None) -> Path:
    if folder is None:
        raise ValueError("no store configured (accounts[].store)")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder
