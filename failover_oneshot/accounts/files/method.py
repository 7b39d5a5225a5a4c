"""Method `files`: swap a set of live files of any program; a store keeps each under its base name.

The owner of the live files follows from their content: credentials that a store holds, the lineage, or an identity (see
`credential_facts`). Files without any of these belong to the account that should be live.
"""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from failover_oneshot.accounts import credential_facts, fingerprints, kept, staged
from failover_oneshot.accounts.files import facts, stores
from failover_oneshot.accounts.files.facts import Contents, LiveFile
from failover_oneshot.accounts.memory import Memory
from failover_oneshot.accounts.method import MethodError, Saved
from failover_oneshot.accounts.ownership import Ownership, not_of
from failover_oneshot.accounts.staged import FileChange
from failover_oneshot.config.model import Account, Config
from failover_oneshot.lib import atomicfile

ATTEMPTS = 5
PATIENCE = 2.0  # seconds for a file that another program is just writing
POLL_EVERY = 0.05  # seconds


class FilesMethod:
    """Implements `SwapMethod`."""

    def __init__(self, config: Config, memory: Memory) -> None:
        self._config = config
        self._accounts = config.accounts
        self._memory = memory
        self._files = [Path(path) for path in config.swap.files]
        self._names = [path.name for path in self._files]
        self._timeout = config.swap.timeout
        self._patient = False

    def check(self, account: Account) -> str | None:
        """See `SwapMethod`."""
        names = self._names
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
            mine = stores.stored(account, self._names)
        except MethodError as error:
            return str(error)
        if missing := [name for name in names if name not in mine]:
            return f"{folder / missing[0]} does not exist"
        problems = (facts.problem(folder / name, content) for name, content in mine.items())
        if problem := next(filter(None, problems), None):
            return problem
        if not facts.filled(mine):
            return f"credentials in store {folder} are blank; log in again"
        for other in self._accounts:
            if other.name != account.name and (same := facts.sameness(mine, stores.read(other, self._names))):
                return f"store {folder} holds the same {same} as {other.name}'s store"
        return self._memory.problem(account.name, lambda mark: self.holds(account, mark))

    def verdict(self) -> Ownership:
        """See `SwapMethod`."""
        return self._verdict(facts.contents_of(self._live()), None)

    def live_account(self) -> str | None:
        """See `SwapMethod`."""
        try:
            return self.verdict().owner
        except MethodError:
            return None

    def holds(self, account: Account, mark: str) -> bool:
        """See `SwapMethod`."""
        return any(fingerprints.fits(mark, content) for content in stores.read(account, self._names).values())

    def given_up(self, active: Account | None) -> tuple[Account, str] | None:
        """See `SwapMethod`."""
        try:
            live = {name: content for name, content in facts.contents_of(self._live()).items() if content}
        except MethodError:
            return None
        if not live or facts.filled(live):
            return None
        account = self._blanked(live, active)
        stored = list(facts.filled(stores.read(account, self._names)).values()) if account else []
        return (account, fingerprints.made(stored[0])) if account and stored else None

    def _blanked(self, live: Contents, active: Account | None) -> Account | None:
        """The account that blank files belong to: by its id in them, else the active one if a check knows it."""
        if named := facts.account(live):
            return next((a for a in self._accounts if facts.account(stores.read(a, self._names)) == named), None)
        seen = {*self._memory.lineage.values(), self._memory.installed}
        return active if active and active.name in seen else None

    def lineage(self) -> dict[str, str]:
        """See `SwapMethod`."""
        lineage = dict(self._memory.lineage)
        try:
            contents = facts.contents_of(self._live())
        except MethodError:
            return lineage
        name = self._verdict(contents, None).owner
        if name is None:
            return lineage
        mine = [mark for mark, whose in lineage.items() if whose == name]
        found = [next((m for m in mine if fingerprints.fits(m, content)), None) for content in contents.values()]
        marks = [m or fingerprints.made(c) for m, c in zip(found, contents.values(), strict=True)]
        return {**{m: whose for m, whose in lineage.items() if whose != name}, **dict.fromkeys(marks, name)}

    @contextmanager
    def exclusive(self, timeout: float) -> Iterator[None]:  # noqa: ARG002
        """See `SwapMethod`. Takes no lock, as the program's locks are unknown; a file that changes is noticed."""
        staged.refuse_links(self._config, self._memory.folder)
        staged.refuse_mounts([Path(os.path.realpath(path)) for path in self._files])
        self._patient = True
        try:
            yield
        finally:
            self._patient = False

    def save_back(self, outgoing: Account | None, note: Mapping[str, str]) -> Saved:
        """See `SwapMethod`."""
        live = self._live()
        presumed = outgoing.name if outgoing else note.get("outgoing") or None
        replaced = {n for n, file in enumerate(live) if staged.is_replaced(file.path, n, note)}
        done: list[Saved] = []
        try:
            # After an install that was killed, the replaced files are one account's and the rest another's.
            for name, numbers in ((note.get("incoming"), replaced), (presumed, set(range(len(live))) - replaced)):
                if contents := facts.contents_of([live[n] for n in sorted(numbers)]):
                    done.append(self._keep(contents, name, name if note else None))
        except (OSError, ValueError) as error:
            raise MethodError(f"cannot save the live files: {staged.why(error)}") from None
        apart = next((saved for saved in done if saved.unclaimed), Saved(""))
        text = "; ".join(saved.text for saved in done) or "nothing to save: no live files"
        return Saved(text, apart.unclaimed, apart.suspect)

    def prepare(self, incoming: Account) -> dict[str, str]:
        """See `SwapMethod`. The note: `token`, `incoming`, and `outgoing`, the live files' owner if known."""
        live = self._live()
        outgoing = self._verdict(facts.contents_of(live), None).owner or ""
        note = {**staged.new_note(), "incoming": incoming.name, "outgoing": outgoing}
        staged.stage(self._changes(live, incoming), note)
        return note

    def install(self, incoming: Account, note: Mapping[str, str]) -> None:
        """See `SwapMethod`."""
        self._install(incoming, note, note)

    def verify(self, incoming: Account) -> None:
        """See `SwapMethod`."""
        stored = stores.stored(incoming, self._names)
        for file in self._live():
            known = file.content is not None and (
                file.content == stored.get(file.name)
                or self._verdict({file.name: file.content}, incoming.name, incoming.name).owner == incoming.name
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

    # -- between swaps -----------------------------------------------------------------------------------------------

    def reconcile(self, account: Account, left: str | None = None) -> str | None:  # noqa: ARG002
        """See `SwapMethod`. The identity is in the same files as the credentials, so there is nothing to do."""
        return None

    def refusal(self, account: Account) -> str | None:
        """See `SwapMethod`."""
        try:
            contents = facts.contents_of(self._live())
        except MethodError as error:
            return str(error)
        if not facts.filled(contents):
            return f"there are no live credentials; log in as {account.name} first"
        verdict = self._verdict(contents, account.name)
        if verdict.owner != account.name:
            return not_of(account.name, verdict)
        if facts.older(contents, stores.read(account, self._names)):
            return f"the live credentials are older than those in {account.name}'s store"
        return None

    def foreign(self, account: Account, files: Mapping[str, bytes]) -> str | None:
        """See `SwapMethod`."""
        named = self._kept(files)
        if not facts.filled(named):
            return "the kept credentials are blank"
        mine = facts.identity(named)
        whose = {a.name: facts.identity(stores.read(a, self._names)) for a in self._accounts}
        if mine is None or mine == whose.get(account.name):
            return None
        if owner := next((name for name, identity in whose.items() if identity == mine), None):
            return f"the kept credentials belong to {owner}"
        if whose.get(account.name):
            return f"the kept credentials name another account than {account.name}'s store"
        return None

    def restore(self, account: Account, files: Mapping[str, bytes]) -> str:
        """See `SwapMethod`."""
        if problem := self.foreign(account, files):
            raise MethodError(f"not restored: {problem}")
        try:
            changed = stores.save(account, self._kept(files), self._memory)
        except (OSError, ValueError) as error:
            raise MethodError(f"cannot write {account.name}'s store: {staged.why(error)}") from None
        return f"{account.name}'s store {'has these credentials now' if changed else 'already has these credentials'}"

    def _kept(self, files: Mapping[str, bytes]) -> Contents:
        """Kept files under the names that they have in a store."""
        return {path.name: files[path.name.lstrip(".")] for path in self._files if path.name.lstrip(".") in files}

    # -- how it is done ----------------------------------------------------------------------------------------------

    def _install(self, incoming: Account, begun: Mapping[str, str], note: Mapping[str, str]) -> None:
        """Install under `note`, after an install under `begun` that may have stopped at any point."""
        for _ in range(ATTEMPTS):
            self.save_back(None, begun)
            live = self._live()
            copies = self._copies(live, begun)
            try:
                staged.commit(self._changes(live, incoming), note, partial(self._guard, copies))
            except staged.ChangedError:
                continue
            staged.discard([file.path for file in live], note)
            staged.clean_leftovers([file.path for file in live], self._accounts, self._memory.folder)
            return
        raise MethodError(f"the live files changed in each of {ATTEMPTS} attempts")

    def _copies(self, live: Sequence[LiveFile], begun: Mapping[str, str]) -> list[Path]:
        """Keep the live files as a generation of their owners; the files that hold them under another inode."""
        replaced = {n for n, file in enumerate(live) if staged.is_replaced(file.path, n, begun)}
        copies: list[Path] = []
        try:
            for presumed, numbers in (
                (begun.get("incoming"), replaced),
                (begun.get("outgoing") or None, set(range(len(live))) - replaced),
            ):
                contents = facts.filled(facts.contents_of([live[n] for n in sorted(numbers)]))
                owner = self._verdict(contents, presumed, presumed).owner if contents else None
                folder = kept.generations(self._memory.folder, owner) if owner else self._memory.unclaimed
                if contents:
                    made = kept.keep(folder, contents)
                    copies += [kept.entry_file(folder, made, name) for name in contents]
                    if owner:
                        kept.prune(folder)
        except (OSError, ValueError) as error:
            raise MethodError(f"cannot keep the live files: {staged.why(error)}") from None
        return copies

    def _guard(self, copies: Sequence[Path], change: FileChange) -> None:
        """MethodError unless the file that is about to be replaced exists in another file."""
        self._memory.guard()
        if change.before is None or credential_facts.blank(change.before):
            return
        if not any(kept.is_elsewhere(change.path, copy) and staged.read(copy) == change.before for copy in copies):
            raise MethodError(f"the content of {change.path} exists nowhere else; not replaced")

    def _live(self) -> list[LiveFile]:
        """The live files in the config's order. MethodError when one cannot be read or is half written."""
        deadline = time.monotonic() + (PATIENCE if self._patient else 0.0)
        while True:
            try:
                live = [LiveFile(p.name, atomicfile.real_path(p), staged.read(p)) for p in self._files]
            except (OSError, ValueError) as error:
                raise MethodError(staged.cannot_read(error)) from None
            problems = (facts.problem(f.path, f.content, blank=True) for f in live if f.content)
            problem = next(filter(None, problems), None)
            if problem is None:
                return live
            if time.monotonic() >= deadline:
                raise MethodError(problem)
            time.sleep(POLL_EVERY)

    def _changes(self, live: Sequence[LiveFile], incoming: Account) -> list[FileChange]:
        if problem := self.check(incoming):
            raise MethodError(problem)
        stored = stores.stored(incoming, self._names)
        return [FileChange(file.path, file.content, stored[file.name]) for file in live]

    def _verdict(self, contents: Contents, presumed: str | None, installed: str | None = None) -> Ownership:
        """Whose these live files are. ``installed``: of an install that is unfinished or being verified."""
        known = {account.name: stores.read(account, self._names) for account in self._accounts}
        return facts.verdict(contents, known, self._memory.lineage, installed or self._memory.installed, presumed)

    def _keep(self, contents: Contents, presumed: str | None, installed: str | None) -> Saved:
        """Save one account's live files to its store or to `unclaimed/`."""
        self._memory.guard()
        verdict = self._verdict(contents, presumed, installed)
        account = self._config.account(verdict.owner)
        live = facts.filled(contents)
        if account is None or not account.store:
            if not live or any(stores.holds(a, live) for a in self._accounts):
                return Saved("nothing to save: live files are blank or already in a store")
            made = kept.keep(self._memory.unclaimed, live)
            return Saved(f"live files have no certain owner: {verdict.sentence}", made, verdict.suspect)
        stored = stores.read(account, self._names)
        if facts.older(live, stored):
            made = kept.keep(self._memory.unclaimed, live)
            return Saved(f"{account.name}'s live files are older than its store", made)
        if not stores.save(account, live, self._memory):
            return Saved(f"{account.name}'s store already has the live files")
        return Saved(f"live files saved to {account.name}'s store")
