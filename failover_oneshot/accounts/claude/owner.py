"""Whose the live credentials of Claude Code are: the clues for `ownership.owner_of`. Reads only."""

from collections.abc import Mapping, Sequence
from typing import Any

from failover_oneshot.accounts import fingerprints, kept, staged
from failover_oneshot.accounts.claude import credentials
from failover_oneshot.accounts.claude import live as live_files
from failover_oneshot.accounts.claude.credentials import IDENTITY, StoredCredentials
from failover_oneshot.accounts.claude.live import LiveCredentials
from failover_oneshot.accounts.claude.store import CREDENTIALS, AccountStore, read_store
from failover_oneshot.accounts.memory import Memory
from failover_oneshot.accounts.ownership import Clues, OwnerEvidence, Ownership, owner_of
from failover_oneshot.config.model import Account


def verdict(
    live: LiveCredentials,
    note: Mapping[str, str],
    presumed: str | None,
    accounts: Sequence[Account],
    memory: Memory,
) -> Ownership:
    """Whose the live credentials are. ``note``: of the install that is being finished or undone, else empty."""
    if live.tokens is None:
        return Ownership(None, OwnerEvidence.NONE, "there are no live credentials")
    stores = known_stores(accounts)
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
    return fingerprints.fits(note.get("identity", ""), credentials.key(live.identity))


def replaced_tokens(memory: Memory, account: str) -> frozenset[str]:
    """The tokens of an account's generations."""
    found = set()
    for entry in kept.entries(kept.generations(memory.folder, account)):
        try:
            tokens = live_files.tokens_in(entry.contents().get(CREDENTIALS.lstrip("."), b""))
        except (OSError, ValueError):
            continue
        if tokens:
            found.add(tokens.token)
    return frozenset(found)


def known_stores(accounts: Sequence[Account]) -> list[StoredCredentials]:
    """What the accounts' stores hold."""
    return [read_store(account).known for account in accounts]


def identified(live: LiveCredentials, accounts: Sequence[Account]) -> tuple[str, ...]:
    """The accounts that the live identity fits."""
    return credentials.identified(live.identity, known_stores(accounts)) or ()


def gave_up(live: LiveCredentials, active: str | None, accounts: Sequence[Account], memory: Memory) -> str | None:
    """The account whose live tokens Claude Code has blanked; None if it has not, or when in doubt."""
    if live.credentials is None or not credentials.given_up(live.credentials.values):
        return None
    named = credentials.named(credentials.blank_tokens(live.credentials.values), known_stores(accounts))
    if named is not None:  # a blank block keeps the account that it names
        return named[0] if len(named) == 1 else None
    return active if active == memory.installed or active in identified(live, accounts) else None


def refreshed(live: LiveCredentials, left: str, installed: AccountStore, accounts: Sequence[Account]) -> bool:
    """Whether unknown live credentials were refreshed from ``installed``, and the identity of ``left`` is back.

    A log-in by hand writes the account into the credentials, and another device token; a refresh does neither.
    """
    if live.tokens is None or live.tokens.account or live.credentials is None or installed.credentials is None:
        return False
    device, stored = (document.values.get(credentials.DEVICE) for document in (live.credentials, installed.credentials))
    return device == stored and left in identified(live, accounts)


def identity_for(account: Account, live: LiveCredentials, accounts: Sequence[Account]) -> dict[str, Any] | None:
    """The live identity block, if the account's store may take it."""
    if live.settings is None or live.identity is None:
        return None
    names, mine = identified(live, accounts), read_store(account).known.who
    block: dict[str, Any] = live.settings.values[IDENTITY]
    return block if (account.name in names if mine else not names) else None


def foreign(
    account: Account, values: Mapping[str, Any], block: Mapping[str, Any] | None, accounts: Sequence[Account]
) -> str | None:
    """Why kept credentials and their identity block cannot be the account's; None when they can."""
    tokens, identity = credentials.tokens_of(values), credentials.identity_of(block)
    if tokens is None:
        return "the kept credentials are blank"
    stores = known_stores(accounts)
    names = credentials.named(tokens, stores) or credentials.identified(identity, stores) or ()
    if names and account.name not in names:
        return f"the kept credentials belong to {names[0]}"
    mine = read_store(account).known.who
    if not names and mine and (identity or account.name in credentials.excluded(tokens, stores)):
        return f"the kept credentials name another account than {account.name}'s store"
    return None
