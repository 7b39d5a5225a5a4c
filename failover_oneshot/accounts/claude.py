"""Method `claude`: swap Claude Code's credentials file and the identity block in its settings.

An install replaces the credentials first and the identity second. The waiting files (see `staged`) show an install that
was killed in between. The live credentials are then the incoming account's, although the identity still names the
outgoing one.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

from failover_oneshot.accounts import credentials, json_document, staged
from failover_oneshot.accounts.client_locks import HeldLocks, client_locks
from failover_oneshot.accounts.credentials import IDENTITY, Identity, Saving, Tokens
from failover_oneshot.accounts.json_document import Document
from failover_oneshot.accounts.method import MethodError
from failover_oneshot.accounts.staged import FileChange
from failover_oneshot.accounts.store import CREDENTIALS, IDENTITY_FILE, AccountStore, read_store
from failover_oneshot.accounts.unclaimed import keep_unclaimed
from failover_oneshot.config.model import Account, Config
from failover_oneshot.lib import atomicfile

REFRESH_STALE = 60.0  # seconds; Claude Code's own values (docs/behavior.md, "Claude Code's locks")
SETTINGS_STALE = 10.0
ATTEMPTS = 5


class LiveCredentials(Struct, frozen=True):
    """The two live files as read; None for a document that does not exist."""

    paths: tuple[Path, Path]  # the credentials, the settings; links resolved
    credentials: Document | None
    settings: Document | None
    tokens: Tokens | None
    identity: Identity | None


class ClaudeMethod:
    """Implements `SwapMethod`. `unclaimed` is the folder for credentials that no store may take."""

    def __init__(self, config: Config, unclaimed: Path, lineage: Mapping[str, str]) -> None:
        self._accounts = config.accounts
        self._unclaimed = unclaimed
        self._lineage = dict(lineage)
        self._folder = Path(config.swap.claude_dir)
        self._settings = Path(config.swap.claude_json)
        self._held: HeldLocks | None = None

    def check(self, account: Account) -> str | None:
        """See `SwapMethod`."""
        store = read_store(account)
        if store.problem:
            return store.problem
        for other in self._accounts:
            theirs = read_store(other).known if other.name != account.name else None
            if theirs is None:
                continue
            if store.known.identity and theirs.identity and store.known.identity.same(theirs.identity):
                return f"store {account.store} holds the same identity as {other.name}'s store"
            if store.known.tokens and theirs.tokens and store.known.tokens.refresh == theirs.tokens.refresh:
                return f"store {account.store} holds the same credentials as {other.name}'s store"
        return None

    def live_account(self) -> str | None:
        """See `SwapMethod`."""
        try:
            return self._owner(self._live(), {}, None)
        except MethodError:
            return None

    def lineage(self) -> dict[str, str]:
        """See `SwapMethod`."""
        try:
            live = self._live()
        except MethodError:
            return dict(self._lineage)
        name = self._owner(live, {}, None)
        if name is None or live.tokens is None:
            return dict(self._lineage)
        if any(whose == name and credentials.fits(mark, live.tokens.refresh) for mark, whose in self._lineage.items()):
            return dict(self._lineage)
        others = {mark: whose for mark, whose in self._lineage.items() if whose != name}
        return {**others, credentials.fingerprint(live.tokens.refresh, os.urandom(8).hex()): name}

    @contextmanager
    def exclusive(self, timeout: float) -> Iterator[None]:
        """See `SwapMethod`. Holds Claude Code's locks, so that it cannot refresh a token meanwhile."""
        if not self._folder.is_dir():
            raise MethodError(f"Claude Code's folder {self._folder} does not exist (swap.claude_dir)")
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

    def save_back(self, outgoing: Account | None, note: Mapping[str, str]) -> str:
        """See `SwapMethod`."""
        try:
            return self._keep(self._live(), outgoing.name if outgoing else None, note)
        except (OSError, ValueError) as error:
            raise MethodError(f"cannot save the live credentials: {staged.why(error)}") from None

    def prepare(self, incoming: Account) -> dict[str, str]:
        """See `SwapMethod`. The note: `token`, `incoming`, and a fingerprint of the previous `identity`."""
        live = self._live()
        identity = credentials.fingerprint(credentials.key(live.identity), os.urandom(8).hex())
        note = {**staged.new_note(), "incoming": incoming.name, "identity": identity}
        staged.stage(self._changes(live, incoming), note)
        return note

    def install(self, incoming: Account, note: Mapping[str, str]) -> None:
        """See `SwapMethod`."""
        self._install(incoming, note, note)

    def verify(self, incoming: Account) -> None:
        """See `SwapMethod`."""
        live, known = self._live(), read_store(incoming).known
        if self._owner(live, {}, incoming.name) != incoming.name:
            raise MethodError(f"the live credentials are not {incoming.name}'s after the install")
        if live.identity is None or known.identity is None or not live.identity.same(known.identity):
            raise MethodError(f"the live identity is not {incoming.name}'s after the install")

    def undo(self, outgoing: Account, note: Mapping[str, str]) -> None:
        """See `SwapMethod`."""
        incoming = next((a for a in self._accounts if a.name == note.get("incoming")), None)
        live = self._live()
        if incoming is None:  # no longer in the config: only the waiting files show what was installed
            if any(staged.is_replaced(path, number, note) for number, path in enumerate(live.paths)):
                self._install(outgoing, note, staged.new_note())
        elif incoming.name != outgoing.name:
            theirs = read_store(incoming).known.identity
            named = theirs is not None and live.identity is not None and theirs.same(live.identity)
            if named or self._owner(live, note, None) == incoming.name:
                # Under a new note: the old one stays true of the live files until they are replaced.
                self._install(outgoing, note, staged.new_note())
        staged.discard(live.paths, note)

    def environment(self, account: Account) -> dict[str, str]:  # noqa: ARG002
        """See `SwapMethod`. Empty: the files are enough."""
        return {}

    def _install(self, incoming: Account, begun: Mapping[str, str], note: Mapping[str, str]) -> None:
        """Install under `note`, after an install under `begun` that may have stopped at any point."""
        for _ in range(ATTEMPTS):
            self.save_back(None, begun)
            live = self._live()
            try:
                staged.commit(self._changes(live, incoming), note, self._guard)
            except staged.ChangedError:
                continue
            staged.discard(live.paths, note)
            staged.clean_leftovers(live.paths, self._accounts, self._unclaimed)
            return
        raise MethodError(f"Claude Code's files changed in each of {ATTEMPTS} attempts although their locks are held")

    def _guard(self) -> None:
        if self._held is None:
            raise MethodError("Claude Code's locks are not held")
        self._held.check()

    def _live(self) -> LiveCredentials:
        """Read the live files. MethodError when one is too large, not a regular file, or does not parse."""
        try:
            paths = (atomicfile.real_path(self._folder / CREDENTIALS), atomicfile.real_path(self._settings))
            documents = []
            for path in paths:
                data = staged.read(path)
                try:
                    documents.append(None if data is None else json_document.parse(data))
                except ValueError as error:
                    raise ValueError(f"{path} is {error}; left unchanged") from None
        except (OSError, ValueError) as error:
            raise MethodError(staged.cannot_read(error)) from None
        found, settings = documents
        return LiveCredentials(
            paths=paths,
            credentials=found,
            settings=settings,
            tokens=credentials.tokens_of(found.values) if found else None,
            identity=credentials.identity_of(settings.values.get(IDENTITY)) if settings else None,
        )

    def _changes(self, live: LiveCredentials, incoming: Account) -> list[FileChange]:
        """The changes that make the account's credentials live."""
        store = read_store(incoming)
        if store.problem or store.credentials is None or store.identity is None:
            raise MethodError(store.problem or f"store {incoming.store} is incomplete")
        merged = credentials.with_own_keys(live.credentials or json_document.EMPTY, store.credentials.values)
        if live.settings is None:
            settings = json_document.rendered({IDENTITY: store.identity.values})
        elif live.identity and store.known.identity and live.identity.same(store.known.identity):
            settings = json_document.encode(live.settings)
        else:
            settings = json_document.encode(json_document.replace(live.settings, IDENTITY, store.identity.values))
        before = [None if d is None else json_document.encode(d) for d in (live.credentials, live.settings)]
        return [
            FileChange(live.paths[0], before[0], json_document.encode(merged)),
            FileChange(live.paths[1], before[1], settings),
        ]

    def _half_installed(self, live: LiveCredentials, note: Mapping[str, str]) -> bool:
        """Whether an install under that note replaced the credentials but not yet the identity."""
        if not staged.is_replaced(live.paths[0], 0, note) or staged.is_replaced(live.paths[1], 1, note):
            return False
        return credentials.fits(note.get("identity", ""), credentials.key(live.identity))

    def _owner(self, live: LiveCredentials, note: Mapping[str, str], presumed: str | None) -> str | None:
        if live.tokens is None:
            return None
        stores = [read_store(account).known for account in self._accounts]
        if self._half_installed(live, note) and not credentials.known(live.tokens, stores, self._lineage):
            return note.get("incoming")  # refreshed since by an agent
        return credentials.owner(live.tokens, live.identity, stores, self._lineage, presumed)

    def _keep(self, live: LiveCredentials, outgoing: str | None, note: Mapping[str, str]) -> str:
        """Save the live credentials to a store or to `unclaimed/`. OSError, ValueError or MethodError on failure."""
        if live.credentials is None or not credentials.any_token(live.credentials.values):
            return "nothing to save: no live credentials"
        name = self._owner(live, note, outgoing)
        account = next((a for a in self._accounts if a.name == name), None)
        if live.tokens is None or account is None or account.store is None:
            return f"live credentials belong to no configured account; kept as {self._keep_unclaimed(live)}"
        store = read_store(account)
        half = self._half_installed(live, note)
        verdict = credentials.saving(live.tokens, store.known.tokens, store.known.previous)
        if verdict is Saving.UNCLAIMED:
            return f"{name}'s live credentials are older than its store; kept as {self._keep_unclaimed(live)}"
        if half and store.known.tokens and live.tokens.refresh != store.known.tokens.refresh:
            self._keep_unclaimed(live)  # somebody may have logged in by hand at this very moment
        if not half and live.identity and self._names(live.identity, store):
            store.save_identity(live.settings.values[IDENTITY] if live.settings else {})
        if verdict is Saving.WRITE and store.save_credentials(live.credentials.values, self._unclaimed):
            return f"live credentials saved to {name}'s store"
        return f"{name}'s store already has the live credentials"

    @staticmethod
    def _names(identity: Identity, store: AccountStore) -> bool:
        """Whether the store may take this identity."""
        return store.known.identity is None or identity.same(store.known.identity)

    def _keep_unclaimed(self, live: LiveCredentials) -> str:
        values = live.credentials.values if live.credentials else {}
        files = {CREDENTIALS: json_document.encode(credentials.with_own_keys(json_document.EMPTY, values))}
        if live.settings and live.identity:
            files[IDENTITY_FILE] = json_document.rendered(live.settings.values[IDENTITY])
        return keep_unclaimed(self._unclaimed, files)
