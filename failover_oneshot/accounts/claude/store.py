"""A store of method `claude`: `.credentials.json` and `oauthAccount.json`, each with its previous version (`.prev`)."""

import os
from pathlib import Path
from typing import Any

from msgspec import Struct

from failover_oneshot.accounts import json_document, kept
from failover_oneshot.accounts.claude.credentials import StoredCredentials, identity_of, tokens_of, with_own_keys
from failover_oneshot.accounts.json_document import Document
from failover_oneshot.accounts.kept import LIMIT
from failover_oneshot.accounts.staged import cannot_read
from failover_oneshot.config import linked
from failover_oneshot.config.model import Account
from failover_oneshot.lib import atomicfile

CREDENTIALS, IDENTITY_FILE = linked.STORED


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

    def save(self, values: dict[str, Any] | None, identity: dict[str, Any] | None, keep: Path) -> bool:
        """Save the account's own keys of a live `.credentials.json` and its identity; None leaves one as it is.

        True when the credentials changed. What was there is kept below the folder ``keep`` first: as a generation, or
        in `unclaimed/` if it does not parse. It also stays as `.prev`. OSError or ValueError when something cannot be
        written; what was not kept is then unchanged.
        """
        folder = _made(self.folder)
        data = self.raw
        if values is not None:
            data = json_document.encode(with_own_keys(self.credentials or json_document.EMPTY, values))
        if data is not None and data != self.raw:
            path = folder / CREDENTIALS
            copy = self._keep(keep)
            if copy and not kept.is_elsewhere(path, copy):
                raise ValueError(f"{path}: its content exists nowhere else; left unchanged")
            atomicfile.write_atomic(path, data, backup=kept.previous(path) if self.known.tokens else None)
        if identity is not None and (self.identity is None or self.identity.values != identity):
            path = folder / IDENTITY_FILE
            block = json_document.rendered(identity)
            atomicfile.write_atomic(path, block, backup=kept.previous(path) if self.identity else None)
        return data != self.raw

    def _keep(self, keep: Path) -> Path | None:
        """Keep what the store holds; the path of the copy of its credentials, None when there were none."""
        if self.raw and self.credentials is None:
            folder = keep / kept.UNCLAIMED
            return kept.entry_file(folder, kept.keep(folder, {CREDENTIALS: self.raw}), CREDENTIALS)
        if self.credentials is None or self.known.tokens is None:
            return None
        return keep_generation(
            keep, self.known.name, self.credentials.values, self.identity.values if self.identity else None
        )


def keep_generation(keep: Path, account: str, values: dict[str, Any], identity: dict[str, Any] | None) -> Path:
    """Keep an account's credentials as a generation; the path of the copy. OSError when it cannot be written."""
    folder = kept.generations(keep, account)
    credentials = json_document.encode(with_own_keys(json_document.EMPTY, values))
    files = {CREDENTIALS: credentials}
    if identity is not None:
        files[IDENTITY_FILE] = json_document.rendered(identity)
    made = kept.keep(folder, files, credentials)
    kept.prune(folder)
    return kept.entry_file(folder, made, CREDENTIALS)


def read_store(account: Account) -> AccountStore:
    """Read an account's store. Never raises; `problem` says what is wrong."""
    if not account.store:
        return AccountStore(None, StoredCredentials(account.name), problem="no store configured (accounts[].store)")
    folder = Path(account.store)
    raw, credentials, credentials_problem = _read(folder / CREDENTIALS)
    _, identity, identity_problem = _read(folder / IDENTITY_FILE)
    _, before, _ = _read(kept.previous(folder / CREDENTIALS))
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
