"""Method `claude`: swap Claude Code's credentials file and the identity block in its settings.

An install replaces the credentials first and the identity second. The waiting files (see `staged`) show an install that
was killed in between. The live credentials are then the incoming account's, although the identity still names the
outgoing one.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from failover_oneshot.accounts import fingerprints, json_document, kept, staged
from failover_oneshot.accounts.claude import credentials, owner, saving
from failover_oneshot.accounts.claude import live as live_files
from failover_oneshot.accounts.claude.credentials import IDENTITY
from failover_oneshot.accounts.claude.live import LiveCredentials
from failover_oneshot.accounts.claude.locks import HeldLocks, client_locks
from failover_oneshot.accounts.claude.store import CREDENTIALS, IDENTITY_FILE, AccountStore, read_store
from failover_oneshot.accounts.memory import Memory
from failover_oneshot.accounts.method import MethodError, Saved
from failover_oneshot.accounts.ownership import Ownership, not_of
from failover_oneshot.accounts.staged import FileChange
from failover_oneshot.config.model import Account, Config

REFRESH_STALE = 60.0  # seconds; Claude Code's own values (docs/behavior.md, "Claude Code's locks")
SETTINGS_STALE = 10.0
ATTEMPTS = 5


class ClaudeMethod:
    """Implements `SwapMethod`."""

    def __init__(self, config: Config, memory: Memory) -> None:
        self._config = config
        self._accounts = config.accounts
        self._memory = memory
        self._folder = Path(config.swap.claude_dir)
        self._settings = Path(config.swap.claude_json)
        self._timeout = config.swap.timeout
        self._held: HeldLocks | None = None

    # -- what is there -----------------------------------------------------------------------------------------------

    def check(self, account: Account) -> str | None:
        """See `SwapMethod`."""
        store = read_store(account)
        if store.problem:
            return store.problem
        for other in self._accounts:
            theirs = read_store(other).known if other.name != account.name else None
            if theirs is None:
                continue
            if store.known.who and theirs.who and store.known.who.exactly(theirs.who):
                return f"store {account.store} holds the same identity as {other.name}'s store"
            if store.known.tokens and theirs.tokens and store.known.tokens.token == theirs.tokens.token:
                return f"store {account.store} holds the same credentials as {other.name}'s store"
        return self._memory.problem(account.name, lambda mark: self.holds(account, mark))

    def verdict(self) -> Ownership:
        """See `SwapMethod`."""
        return self._verdict(self._live(), {}, self._memory.installed)

    def live_account(self) -> str | None:
        """See `SwapMethod`."""
        try:
            return self.verdict().owner
        except MethodError:
            return None

    def lineage(self) -> dict[str, str]:
        """See `SwapMethod`."""
        known = dict(self._memory.lineage)
        try:
            live = self._live()
        except MethodError:
            return known
        name = self._verdict(live, {}, self._memory.installed).owner
        if name is None or live.tokens is None:
            return known
        if name in credentials.in_lineage(live.tokens, known):
            return known
        others = {mark: whose for mark, whose in known.items() if whose != name}
        return {**others, fingerprints.made(live.tokens.token): name}

    def holds(self, account: Account, mark: str) -> bool:
        """See `SwapMethod`."""
        tokens = read_store(account).known.tokens
        return tokens is not None and fingerprints.fits(mark, tokens.token)

    def given_up(self, active: Account | None) -> tuple[Account, str] | None:
        """See `SwapMethod`."""
        try:
            live = self._live()
        except MethodError:
            return None
        account = self._config.account(
            owner.gave_up(live, active.name if active else None, self._accounts, self._memory)
        )
        stored = read_store(account).known.tokens if account else None
        return (account, fingerprints.made(stored.token)) if account and stored else None

    # -- the swap ----------------------------------------------------------------------------------------------------

    @contextmanager
    def exclusive(self, timeout: float) -> Iterator[None]:
        """See `SwapMethod`. Holds Claude Code's locks, so that it cannot refresh a token meanwhile."""
        if not self._folder.is_dir():
            raise MethodError(f"Claude Code's folder {self._folder} does not exist (swap.claude_dir)")
        staged.refuse_links(self._config, self._memory.folder)
        staged.refuse_mounts([Path(os.path.realpath(path)) for path in (self._folder / CREDENTIALS, self._settings)])
        wanted = [(self._folder / ".oauth_refresh.lock", REFRESH_STALE)]
        for path, stale in ((self._folder, REFRESH_STALE), (self._settings, SETTINGS_STALE)):
            # Behind a link, some versions lock beside the link and some beside the real file: take both.
            names = dict.fromkeys((path, Path(os.path.realpath(path))))
            wanted += [(name.with_name(name.name + ".lock"), stale) for name in names]
        with client_locks(wanted, timeout) as held:
            self._held = held
            try:
                yield
            finally:
                self._held = None

    def save_back(self, outgoing: Account | None, note: Mapping[str, str]) -> Saved:
        """See `SwapMethod`."""
        try:
            live = self._live()
            verdict = self._verdict(live, note, outgoing.name if outgoing else None)
            return saving.save(live, verdict, self._accounts, self._memory)
        except (OSError, ValueError) as error:
            raise MethodError(f"cannot save the live credentials: {staged.why(error)}") from None

    def prepare(self, incoming: Account) -> dict[str, str]:
        """See `SwapMethod`. The note: `token`, `incoming`, and a fingerprint of the previous `identity`."""
        live = self._live()
        identity = fingerprints.made(credentials.key(live.identity))
        note = {**staged.new_note(), "incoming": incoming.name, "identity": identity}
        staged.stage(self._changes(live, incoming), note)
        return note

    def install(self, incoming: Account, note: Mapping[str, str]) -> None:
        """See `SwapMethod`."""
        self._install(incoming, note, note)

    def verify(self, incoming: Account) -> None:
        """See `SwapMethod`."""
        self._repair(incoming)
        live = self._live()
        verdict = self._verdict(live, {}, incoming.name)
        if verdict.owner != incoming.name:
            raise MethodError(f"the live credentials are not {incoming.name}'s after the install: {verdict.sentence}")
        # An agent may have written its old identity back once more. The swap stands: `reconcile` corrects the identity
        # in the checks that follow.

    def undo(self, outgoing: Account, note: Mapping[str, str]) -> None:
        """See `SwapMethod`."""
        incoming = self._config.account(note.get("incoming"))
        live = self._live()
        if incoming is None:  # no longer in the config: only the waiting files show what was installed
            if any(staged.is_replaced(path, number, note) for number, path in enumerate(live.paths)):
                self._install(outgoing, note, staged.new_note())
        elif incoming.name != outgoing.name:
            theirs = read_store(incoming).known.identity
            named = theirs is not None and live.identity is not None and theirs.same(live.identity)
            whose = self._verdict(live, note, None).owner
            replaced = whose is None and staged.is_replaced(live.paths[0], 0, note)
            if named or replaced or whose == incoming.name:
                # Under a new note: the old one stays true of the live files until they are replaced.
                self._install(outgoing, note, staged.new_note())
        staged.discard(live.paths, note)

    def environment(self, account: Account) -> dict[str, str]:  # noqa: ARG002
        """See `SwapMethod`. Empty: the files are enough."""
        return {}

    # -- between swaps -----------------------------------------------------------------------------------------------

    def reconcile(self, account: Account, left: str | None = None) -> str | None:
        """See `SwapMethod`."""
        if self._repaired(self._live(), account, left) is None:
            return None
        with self.exclusive(self._timeout):
            return self._repair(account, left)

    def refusal(self, account: Account) -> str | None:
        """See `SwapMethod`."""
        try:
            live = self._live()
        except MethodError as error:
            return str(error)
        if live.tokens is None:
            return f"there are no live credentials; log in as {account.name} first"
        verdict = self._verdict(live, {}, account.name)
        if verdict.owner != account.name:
            return not_of(account.name, verdict)
        if saving.older(live.tokens, account, self._memory):
            return f"the live credentials are older than those in {account.name}'s store"
        return None

    def foreign(self, account: Account, files: Mapping[str, bytes]) -> str | None:
        """See `SwapMethod`."""
        try:
            return owner.foreign(account, *_kept(files), self._accounts)
        except ValueError as error:
            return f"the kept credentials are {error}"

    def restore(self, account: Account, files: Mapping[str, bytes]) -> str:
        """See `SwapMethod`."""
        if problem := self.foreign(account, files):
            raise MethodError(f"not restored: {problem}")
        try:
            changed = read_store(account).save(*_kept(files), self._memory.folder)
        except (OSError, ValueError) as error:
            raise MethodError(f"cannot write {account.name}'s store: {staged.why(error)}") from None
        return f"{account.name}'s store {'has these credentials now' if changed else 'already has these credentials'}"

    # -- how it is done ----------------------------------------------------------------------------------------------

    def _live(self) -> LiveCredentials:
        return live_files.read(self._folder / CREDENTIALS, self._settings, patient=self._held is not None)

    def _verdict(self, live: LiveCredentials, note: Mapping[str, str], presumed: str | None) -> Ownership:
        return owner.verdict(live, note, presumed, self._accounts, self._memory)

    def _install(self, incoming: Account, begun: Mapping[str, str], note: Mapping[str, str]) -> None:
        """Install under `note`, after an install under `begun` that may have stopped at any point."""
        for _ in range(ATTEMPTS):
            self.save_back(None, begun)
            live = self._live()
            copies = saving.copies(live, self._verdict(live, begun, None), self._memory)
            try:
                staged.commit(self._changes(live, incoming), note, partial(self._guard, copies))
            except staged.ChangedError:
                continue
            staged.discard(live.paths, note)
            staged.clean_leftovers(live.paths, self._accounts, self._memory.folder)
            return
        raise MethodError(f"Claude Code's files changed in each of {ATTEMPTS} attempts although their locks are held")

    def _guard(self, copies: Sequence[Path], change: FileChange) -> None:
        """MethodError unless the locks are held and what is about to be replaced exists in another file."""
        if self._held is None:
            raise MethodError("Claude Code's locks are not held")
        self._held.check()
        self._memory.guard()
        if change.before is None or change.path != Path(os.path.realpath(self._folder / CREDENTIALS)):
            return
        tokens = live_files.tokens_in(change.before)
        others = [copy for copy in copies if kept.is_elsewhere(change.path, copy)]
        if tokens and not any(live_files.holds(copy, tokens) for copy in others):
            raise MethodError(f"the credentials in {change.path} exist nowhere else; not replaced")

    def _changes(self, live: LiveCredentials, incoming: Account) -> list[FileChange]:
        """The changes that make the account's credentials live."""
        store = read_store(incoming)
        if store.problem or store.credentials is None or store.identity is None:
            raise MethodError(store.problem or f"store {incoming.store} is incomplete")
        merged = credentials.with_own_keys(live.credentials or json_document.EMPTY, store.credentials.values)
        return [
            FileChange(live.paths[0], live.raw[0], json_document.encode(merged)),
            self._identity_change(live, store),
        ]

    def _identity_change(self, live: LiveCredentials, store: AccountStore) -> FileChange:
        """The change that makes the store's identity live."""
        block = store.identity.values if store.identity else {}
        if live.settings is None:
            settings = json_document.rendered({IDENTITY: block})
        elif store.known.name in owner.identified(live, self._accounts):
            settings = json_document.encode(live.settings)
        else:
            settings = json_document.encode(json_document.replace(live.settings, IDENTITY, block))
        return FileChange(live.paths[1], live.raw[1], settings)

    def _repair(self, account: Account, left: str | None = None) -> str | None:
        """What `reconcile` does, while the locks are held."""
        for _ in range(ATTEMPTS):
            live = self._live()
            change = self._repaired(live, account, left)
            if change is None:
                return None
            note = staged.new_note()
            try:
                staged.commit([change], note, partial(self._guard, ()))
            except staged.ChangedError:
                continue
            finally:
                staged.discard([change.path], note)
            return f"{self._settings} did not name {account.name} beside its credentials; corrected"
        raise MethodError(f"{self._settings} changed in each of {ATTEMPTS} attempts although its lock is held")

    def _repaired(self, live: LiveCredentials, account: Account, left: str | None) -> FileChange | None:
        """The change of the settings that this takes; None when nothing is wrong, or the owner is not certain."""
        store = read_store(account)
        if store.known.identity is None or account.name in owner.identified(live, self._accounts):
            return None
        verdict = self._verdict(live, {}, account.name)
        certain = verdict.owner == account.name and verdict.proven
        if left and verdict.suspect == account.name:
            certain = owner.refreshed(live, left, store, self._accounts)
        if not certain:
            return None
        change = self._identity_change(live, store)
        return change if change.after != change.before else None


def _kept(files: Mapping[str, bytes]) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """The credentials and the identity in kept files. Raises ValueError."""
    named = {name.lstrip("."): data for name, data in files.items()}
    identity = json_document.parse(named[IDENTITY_FILE]).values if IDENTITY_FILE in named else None
    return json_document.parse(named.get(CREDENTIALS.lstrip("."), b"")).values, identity
