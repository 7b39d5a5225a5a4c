"""Method `files`: a set of live files, of any program, each kept in the account's store by its base name.

What is live is told by what it says about itself (see `evidence`): a login that a store holds, the lineage, an
identity. Files that say nothing belong to the account that ought to be live.
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
from failover_oneshot.accounts.unclaimed import set_aside
from failover_oneshot.config.model import Account, Config
from failover_oneshot.lib import atomicfile

ATTEMPTS = 5
Contents = dict[str, bytes]  # base name to content, of those files that exist


class LiveFile(Struct, frozen=True):
    """A live file as it was read: the name that it has in a store, the real path, None for one that does not exist."""

    name: str
    path: Path
    content: bytes | None

    def __repr__(self) -> str:
        """Without the content."""
        return f"LiveFile({self.path})"


class FilesMethod:
    """Implements `Method`. `unclaimed` is the folder for logins that no store may take."""

    def __init__(self, config: Config, unclaimed: Path, lineage: Mapping[str, str]) -> None:
        self._accounts = config.accounts
        self._unclaimed = unclaimed
        self._lineage = dict(lineage)
        self._files = [Path(path) for path in config.swap.files]

    def check(self, account: Account) -> str | None:
        """See `Method`."""
        names = [path.name for path in self._files]
        if not names:
            return "swap.files names no file"
        if len(set(names)) < len(names):
            return "two of swap.files have the same name: a store can not hold both"
        if not account.store:
            return "it has no store in the config"
        folder = Path(account.store)
        if not folder.exists():
            return f"its store {folder} does not exist"
        if not folder.is_dir():
            return f"its store {folder} is not a folder"
        try:
            mine = self._stored(account)
        except MethodError as error:
            return str(error)
        if missing := [name for name in names if name not in mine]:
            return f"{folder / missing[0]} does not exist"
        if problem := next((p for name, content in mine.items() if (p := _problem(folder / name, content))), None):
            return problem
        if all(credential_facts.blank(content) for content in mine.values()):
            return f"the login in its store {folder} is blank: log in again"
        for other in self._accounts:
            if other.name != account.name and (same := _sameness(mine, self._read_store(other))):
                return f"its store {folder} holds the same {same} as that of account {other.name}"
        return None

    def live_account(self) -> str | None:
        """See `Method`."""
        try:
            return self._owner(_contents(self._live()), None)
        except MethodError:
            return None

    def lineage(self) -> dict[str, str]:
        """See `Method`."""
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
        """See `Method`: nothing is known of the program's locks; a file that changes meanwhile is noticed."""
        yield

    def save_back(self, outgoing: Account | None, note: Mapping[str, str]) -> str:
        """See `Method`."""
        live = self._live()
        presumed = outgoing.name if outgoing else note.get("outgoing") or None
        replaced = {n for n, file in enumerate(live) if staged.is_replaced(file.path, n, note)}
        told = []
        try:
            # An install that was begun has made two sets of them, each of another account.
            for name, numbers in ((note.get("incoming"), replaced), (presumed, set(range(len(live))) - replaced)):
                if contents := _contents([live[n] for n in sorted(numbers)]):
                    told.append(self._keep(contents, name))
        except (OSError, ValueError) as error:
            raise MethodError(f"cannot save the live files: {staged.why(error)}") from None
        return "; ".join(told) or "there are no live files: nothing to save"

    def prepare(self, incoming: Account) -> dict[str, str]:
        """See `Method`. The note: `token`, `incoming`, and `outgoing`, whose the live files are, if that is known."""
        live = self._live()
        outgoing = self._owner(_contents(live), None) or ""
        note = {**staged.new_note(), "incoming": incoming.name, "outgoing": outgoing}
        staged.stage(self._changes(live, incoming), note)
        return note

    def install(self, incoming: Account, note: Mapping[str, str]) -> None:
        """See `Method`."""
        self._install(incoming, note, note)

    def verify(self, incoming: Account) -> None:
        """See `Method`."""
        stored = self._stored(incoming)
        for file in self._live():
            known = file.content is not None and (
                file.content == stored.get(file.name)
                or self._owner({file.name: file.content}, incoming.name) == incoming.name
            )
            if not known:
                raise MethodError(f"{file.path} does not read back as that of account {incoming.name}")

    def undo(self, outgoing: Account, note: Mapping[str, str]) -> None:
        """See `Method`."""
        live = self._live()
        begun = [n for n, file in enumerate(live) if staged.is_replaced(file.path, n, note)]
        if begun and note.get("incoming") != outgoing.name:
            self._install(outgoing, note, staged.new_note())
        staged.discard([file.path for file in live], note)

    def environment(self, account: Account) -> dict[str, str]:  # noqa: ARG002
        """See `Method`: nothing, the files say it all."""
        return {}

    def _install(self, incoming: Account, begun: Mapping[str, str], note: Mapping[str, str]) -> None:
        """Installs under `note`, the install of the note `begun` having come as far as it did."""
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
        raise MethodError("the live files keep changing")

    def _live(self) -> list[LiveFile]:
        """The live files in the config's order; MethodError for one that can not be read or is half written."""
        try:
            live = [LiveFile(p.name, atomicfile.real_path(p), staged.read(p)) for p in self._files]
        except (OSError, ValueError) as error:
            raise MethodError(staged.why(error)) from None
        for file in live:
            if file.content and (problem := _problem(file.path, file.content, blank=True)):
                raise MethodError(f"{problem}; it is left alone")
        return live

    def _stored(self, account: Account) -> Contents:
        """The files of a store; MethodError when one can not be read."""
        try:
            found = {path.name: staged.read(Path(account.store or os.devnull) / path.name) for path in self._files}
        except (OSError, ValueError) as error:
            raise MethodError(staged.why(error)) from None
        return {name: content for name, content in found.items() if content is not None}

    def _read_store(self, account: Account) -> Contents:
        """The files of a store as far as they can be read."""
        try:
            return self._stored(account) if account.store else {}
        except MethodError:
            return {}

    def _changes(self, live: Sequence[LiveFile], incoming: Account) -> list[FileChange]:
        if problem := self.check(incoming):
            raise MethodError(f"account {incoming.name}: {problem}")
        stored = self._stored(incoming)
        return [FileChange(file.path, file.content, stored[file.name]) for file in live]

    def _owner(self, contents: Contents, presumed: str | None) -> str | None:
        """Whose these live files are: by what is known of them, by what they say, and else whose they ought to be."""
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
        says = _identity(contents)
        by_identity = [name for name, stored in stores.items() if says and _identity(stored) == says]
        for names in (by_content, by_token, by_lineage, by_identity):
            if names:
                return names[0] if len(set(names)) == 1 else presumed if presumed in names else None
        if presumed in stores and (says is None or not stores[presumed]):
            return presumed
        return None

    def _keep(self, contents: Contents, presumed: str | None) -> str:
        """Brings one account's live files to safety."""
        name = self._owner(contents, presumed)
        account = next((a for a in self._accounts if a.name == name), None)
        live = {base: content for base, content in contents.items() if not credential_facts.blank(content)}
        if account is None or not account.store:
            if not live or any(self._holds(a, live) for a in self._accounts):
                return "the live files are in a store already, or blank: nothing to save"
            return f"the live files belong to no account of the config: set aside as {set_aside(self._unclaimed, live)}"
        folder, stored = Path(account.store), self._read_store(account)
        news = {base: content for base, content in live.items() if stored.get(base) != content}
        if not news:
            return f"the store of {name} has the live files already"
        if any(credential_facts.older(content, stored.get(base, b"")) for base, content in news.items()):
            return f"the live files of {name} are older than its store's: set aside as {self._aside(news)}"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for base, content in news.items():
            good = base in stored and not credential_facts.blank(stored[base])
            atomicfile.write_atomic(folder / base, content, backup=previous(folder / base) if good else None)
        return f"the live files were saved to the store of {name}"

    def _aside(self, contents: Contents) -> str:
        return set_aside(self._unclaimed, contents)

    def _holds(self, account: Account, contents: Contents) -> bool:
        stored = self._read_store(account)
        return all(stored.get(base) == content for base, content in contents.items())


def _contents(live: Sequence[LiveFile]) -> Contents:
    return {file.name: file.content for file in live if file.content is not None}


def _problem(path: Path, content: bytes, *, blank: bool = False) -> str | None:
    """What is wrong with a file; with `blank` a login whose tokens were emptied is right."""
    if path.suffix == ".json":
        try:
            json.loads(content)
        except (ValueError, RecursionError):
            return f"{path} is not JSON" if content.strip() else f"{path} is empty"
    if content.strip() and credential_facts.blank(content) and not blank:
        return f"the login in {path} is blank: log in again"
    return None


def _identity(contents: Contents) -> str | None:
    return next((found for content in contents.values() if (found := credential_facts.identity(content))), None)


def _shared(contents: Contents, stored: Contents, stores: Mapping[str, Contents]) -> bool:
    """Whether a live file is to the byte that of this store, and the stores do not all have it so."""
    return any(
        content and stored.get(base) == content and not all(s.get(base) == content for s in stores.values() if s)
        for base, content in contents.items()
    ) or bool(contents and contents.items() <= stored.items())


def _sameness(mine: Contents, theirs: Contents) -> str | None:
    """What two stores share that only one account can have."""
    tokens = [frozenset[str]().union(*map(credential_facts.refresh_tokens, c.values())) for c in (mine, theirs)]
    if tokens[0] & tokens[1] or (mine and mine == theirs):
        return "login"
    says = _identity(mine)
    return "identity" if says and says == _identity(theirs) else None
