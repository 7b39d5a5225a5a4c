"""Method `files`: swap a set of live files of any program; a store keeps each under its base name.

The owner of the live files follows from their content: credentials that a store holds, the lineage, or an identity (see
`credential_facts`). Files without any of these belong to the account that should be live.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

from failover_oneshot.accounts import credential_facts, staged
from failover_oneshot.accounts.credentials import fingerprint, fits
from failover_oneshot.accounts.method import MethodError
from failover_oneshot.accounts.staged import FileChange
from failover_oneshot.accounts.store import previous
from failover_oneshot.accounts.unclaimed import keep_unclaimed
from failover_oneshot.config.model import Account, Config
from failover_oneshot.lib import atomicfile

ATTEMPTS = 5
Contents = dict[str, bytes]  # base name to content of each file that exists


class LiveFile(Struct, frozen=True):
    """A live file as read."""

    name: str  # in a store
    path: Path  # links resolved
    content: bytes | None  # None when it does not exist

    def __repr__(self) -> str:
        """The path only: the content is secret."""
        return f"LiveFile({self.path})"


class FilesMethod:
    """Implements `SwapMethod`. `unclaimed` is the folder for credentials that no store may take."""

    def __init__(self, config: Config, unclaimed: Path, lineage: Mapping[str, str]) -> None:
        self._accounts = config.accounts
        self._unclaimed = unclaimed
        self._lineage = dict(lineage)
        self._files = [Path(path) for path in config.swap.files]

    def check(self, account: Account) -> str | None:
        """See `SwapMethod`."""
        names = [path.name for path in self._files]
        if not names:
            return "swap.files is empty"
        if twice := next((name for name in names if names.count(name) > 1), None):
            return f"swap.files has two files named {twice!r}; a store can keep only one"
        if not account.store:
            return "no store configured (accounts[].store)"
        folder = Path(account.store)
        if not folder.exists():
            return f"store {folder} does not exist"
        if not folder.is_dir():
            return f"store {folder} is not a folder"
        try:
            mine = self._stored(account)
        except MethodError as error:
            return str(error)
        if missing := [name for name in names if name not in mine]:
            return f"{folder / missing[0]} does not exist"
        if problem := next((p for name, content in mine.items() if (p := _problem(folder / name, content))), None):
            return problem
        if all(credential_facts.blank(content) for content in mine.values()):
            return f"credentials in store {folder} are blank; log in again"
        for other in self._accounts:
            if other.name != account.name and (same := _sameness(mine, self._read_store(other))):
                return f"store {folder} holds the same {same} as {other.name}'s store"
        return None

    def live_account(self) -> str | None:
        """See `SwapMethod`."""
        try:
            return self._owner(_contents(self._live()), None)
        except MethodError:
            return None

    def lineage(self) -> dict[str, str]:
        """See `SwapMethod`."""
        try:
            contents = _contents(self._live())
        except MethodError:
            return dict(self._lineage)
        name = self._owner(contents, None)
        if name is None:
            return dict(self._lineage)
        mine = [mark for mark, whose in self._lineage.items() if whose == name]
        kept = [next((m for m in mine if fits(m, content)), None) for content in contents.values()]
        marks = [m or fingerprint(c, os.urandom(8).hex()) for m, c in zip(kept, contents.values(), strict=True)]
        return {**{m: whose for m, whose in self._lineage.items() if whose != name}, **dict.fromkeys(marks, name)}

    @contextmanager
    def exclusive(self, timeout: float) -> Iterator[None]:  # noqa: ARG002
        """See `SwapMethod`. Takes no lock, as the program's locks are unknown; a file that changes is noticed."""
        yield

    def save_back(self, outgoing: Account | None, note: Mapping[str, str]) -> str:
        """See `SwapMethod`."""
        live = self._live()
        presumed = outgoing.name if outgoing else note.get("outgoing") or None
        replaced = {n for n, file in enumerate(live) if staged.is_replaced(file.path, n, note)}
        done = []
        try:
            # After an install that was killed, the replaced files are one account's and the rest another's.
            for name, numbers in ((note.get("incoming"), replaced), (presumed, set(range(len(live))) - replaced)):
                if contents := _contents([live[n] for n in sorted(numbers)]):
                    done.append(self._keep(contents, name))
        except (OSError, ValueError) as error:
            raise MethodError(f"cannot save the live files: {staged.why(error)}") from None
        return "; ".join(done) or "nothing to save: no live files"

    def prepare(self, incoming: Account) -> dict[str, str]:
        """See `SwapMethod`. The note: `token`, `incoming`, and `outgoing`, the live files' owner if known."""
        live = self._live()
        outgoing = self._owner(_contents(live), None) or ""
        note = {**staged.new_note(), "incoming": incoming.name, "outgoing": outgoing}
        staged.stage(self._changes(live, incoming), note)
        return note

    def install(self, incoming: Account, note: Mapping[str, str]) -> None:
        """See `SwapMethod`."""
        self._install(incoming, note, note)

    def verify(self, incoming: Account) -> None:
        """See `SwapMethod`."""
        stored = self._stored(incoming)
        for file in self._live():
            known = file.content is not None and (
                file.content == stored.get(file.name)
                or self._owner({file.name: file.content}, incoming.name) == incoming.name
            )
            if not known:
                raise MethodError(f"{file.path} is not {incoming.name}'s after the install")

    def undo(self, outgoing: Account, note: Mapping[str, str]) -> None:
        """See `SwapMethod`."""
        live = self._live()
        begun = [n for n, file in enumerate(live) if staged.is_replaced(file.path, n, note)]
        if begun and note.get("incoming") != outgoing.name:
            self._install(outgoing, note, staged.new_note())
        staged.discard([file.path for file in live], note)

    def environment(self, account: Account) -> dict[str, str]:  # noqa: ARG002
        """See `SwapMethod`. Empty: the files are enough."""
        return {}

    def _install(self, incoming: Account, begun: Mapping[str, str], note: Mapping[str, str]) -> None:
        """Install under `note`, after an install under `begun` that may have stopped at any point."""
        for _ in range(ATTEMPTS):
            self.save_back(None, begun)
            live = self._live()
            try:
                staged.commit(self._changes(live, incoming), note, lambda: None)
            except staged.ChangedError:
                continue
            staged.discard([file.path for file in live], note)
            staged.clean_leftovers([file.path for file in live], self._accounts, self._unclaimed)
            return
        raise MethodError(f"the live files changed in each of {ATTEMPTS} attempts")

    def _live(self) -> list[LiveFile]:
        """The live files in the config's order. MethodError when one cannot be read or is half written."""
        try:
            live = [LiveFile(p.name, atomicfile.real_path(p), staged.read(p)) for p in self._files]
        except (OSError, ValueError) as error:
            raise MethodError(staged.cannot_read(error)) from None
        for file in live:
            if file.content and (problem := _problem(file.path, file.content, blank=True)):
                raise MethodError(f"{problem}; left unchanged")
        return live

    def _stored(self, account: Account) -> Contents:
        """The files of a store. MethodError when one cannot be read."""
        try:
            found = {path.name: staged.read(Path(account.store or os.devnull) / path.name) for path in self._files}
        except (OSError, ValueError) as error:
            raise MethodError(staged.cannot_read(error)) from None
        return {name: content for name, content in found.items() if content is not None}

    def _read_store(self, account: Account) -> Contents:
        """The files of a store; empty when one cannot be read."""
        try:
            return self._stored(account) if account.store else {}
        except MethodError:
            return {}

    def _changes(self, live: Sequence[LiveFile], incoming: Account) -> list[FileChange]:
        if problem := self.check(incoming):
            raise MethodError(problem)
        stored = self._stored(incoming)
        return [FileChange(file.path, file.content, stored[file.name]) for file in live]

    def _owner(self, contents: Contents, presumed: str | None) -> str | None:
        """The owner of these live files: by store, token, lineage or identity; else `presumed`; None when in doubt."""
        stores = {account.name: self._read_store(account) for account in self._accounts}
        tokens = frozenset[str]().union(*map(credential_facts.refresh_tokens, contents.values()))
        by_content = [name for name, stored in stores.items() if _shared(contents, stored, stores)]
        by_token = [
            name
            for name, stored in stores.items()
            if tokens & frozenset[str]().union(*map(credential_facts.refresh_tokens, stored.values()))
        ]
        by_lineage = [
            whose for mark, whose in self._lineage.items() if any(fits(mark, content) for content in contents.values())
        ]
        identity = _identity(contents)
        by_identity = [name for name, stored in stores.items() if identity and _identity(stored) == identity]
        for names in (by_content, by_token, by_lineage, by_identity):
            if names:
                return names[0] if len(set(names)) == 1 else presumed if presumed in names else None
        if presumed in stores and (identity is None or not stores[presumed]):
            return presumed
        return None

    def _keep(self, contents: Contents, presumed: str | None) -> str:
        """Save one account's live files to its store or to `unclaimed/`; one sentence that says which."""
        name = self._owner(contents, presumed)
        account = next((a for a in self._accounts if a.name == name), None)
        live = {base: content for base, content in contents.items() if not credential_facts.blank(content)}
        if account is None or not account.store:
            if not live or any(self._holds(a, live) for a in self._accounts):
                return "nothing to save: live files are blank or already in a store"
            kept = keep_unclaimed(self._unclaimed, live)
            return f"live files belong to no configured account; kept as {kept}"
        folder, stored = Path(account.store), self._read_store(account)
        news = {base: content for base, content in live.items() if stored.get(base) != content}
        if not news:
            return f"{name}'s store already has the live files"
        if any(credential_facts.older(content, stored.get(base, b"")) for base, content in news.items()):
            return f"{name}'s live files are older than its store; kept as {keep_unclaimed(self._unclaimed, news)}"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for base, content in news.items():
            good = base in stored and not credential_facts.blank(stored[base])
            atomicfile.write_atomic(folder / base, content, backup=previous(folder / base) if good else None)
        return f"live files saved to {name}'s store"

    def _holds(self, account: Account, contents: Contents) -> bool:
        stored = self._read_store(account)
        return all(stored.get(base) == content for base, content in contents.items())


def _contents(live: Sequence[LiveFile]) -> Contents:
    return {file.name: file.content for file in live if file.content is not None}


def _problem(path: Path, content: bytes, *, blank: bool = False) -> str | None:
    """What is wrong with a file; None if it is fine. With `blank`, blank credentials are fine."""
    if path.suffix == ".json":
        try:
            json.loads(content)
        except (ValueError, RecursionError):
            return f"{path} is not JSON" if content.strip() else f"{path} is empty"
    if content.strip() and credential_facts.blank(content) and not blank:
        return f"credentials in {path} are blank; log in again"
    return None


def _identity(contents: Contents) -> str | None:
    return next((found for content in contents.values() if (found := credential_facts.identity(content))), None)


def _shared(contents: Contents, stored: Contents, stores: Mapping[str, Contents]) -> bool:
    """Whether a live file is byte for byte in this store but not in every store."""
    return any(
        content and stored.get(base) == content and not all(s.get(base) == content for s in stores.values() if s)
        for base, content in contents.items()
    ) or bool(contents and contents.items() <= stored.items())


def _sameness(mine: Contents, theirs: Contents) -> str | None:
    """What two stores share although only one account can have it; None for nothing."""
    tokens = [frozenset[str]().union(*map(credential_facts.refresh_tokens, c.values())) for c in (mine, theirs)]
    if tokens[0] & tokens[1] or (mine and mine == theirs):
        return "credentials"
    identity = _identity(mine)
    return "identity" if identity and identity == _identity(theirs) else None
