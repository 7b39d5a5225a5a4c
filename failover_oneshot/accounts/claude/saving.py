"""Where the live credentials of Claude Code go before they are replaced: a store, `unclaimed/`, the generations."""

from collections.abc import Sequence
from pathlib import Path

from failover_oneshot.accounts import json_document, kept, staged
from failover_oneshot.accounts.claude import credentials, owner
from failover_oneshot.accounts.claude.credentials import IDENTITY, Saving, Tokens
from failover_oneshot.accounts.claude.live import LiveCredentials
from failover_oneshot.accounts.claude.store import CREDENTIALS, IDENTITY_FILE, AccountStore, keep_generation, read_store
from failover_oneshot.accounts.memory import Memory
from failover_oneshot.accounts.method import MethodError, Saved
from failover_oneshot.accounts.ownership import Ownership
from failover_oneshot.config.model import Account


def save(live: LiveCredentials, verdict: Ownership, accounts: Sequence[Account], memory: Memory) -> Saved:
    """Save the live credentials to a store or to `unclaimed/`. OSError or ValueError on failure."""
    memory.guard()
    if live.credentials is None or live.tokens is None:
        return Saved("nothing to save: no live credentials")
    account = next((account for account in accounts if account.name == verdict.owner), None)
    if account is None or account.store is None:
        why = f"live credentials have no certain owner: {verdict.sentence}"
        return _without_owner(live, why, verdict.suspect, memory)
    store = read_store(account)
    what = _saving(live.tokens, store, memory)
    if what is Saving.UNCLAIMED:
        return _without_owner(live, f"{account.name}'s live credentials are older than its store", None, memory)
    values = live.credentials.values if what is Saving.WRITE else None
    if store.save(values, owner.identity_for(account, live, accounts), memory.folder):
        return Saved(f"live credentials saved to {account.name}'s store")
    return Saved(f"{account.name}'s store already has the live credentials")


def older(tokens: Tokens, account: Account, memory: Memory) -> bool:
    """Whether the tokens are older than those in the account's store."""
    return _saving(tokens, read_store(account), memory) is Saving.UNCLAIMED


def copies(live: LiveCredentials, verdict: Ownership, memory: Memory) -> list[Path]:
    """Keep the live credentials as a generation of their owner; the files that hold them besides the live one.

    Without an owner they are in `unclaimed/` already. MethodError when they cannot be kept.
    """
    if live.credentials is None or live.tokens is None:
        return []
    if verdict.owner is None:
        found = kept.entries(memory.unclaimed)
        return [path for entry in found for path in entry.files.values() if path.name.endswith(CREDENTIALS)]
    block = live.settings.values[IDENTITY] if live.settings and live.identity else None
    memory.guard()
    try:
        return [keep_generation(memory.folder, verdict.owner, live.credentials.values, block)]
    except (OSError, ValueError) as error:
        raise MethodError(f"cannot keep the live credentials: {staged.why(error)}") from None


def _saving(tokens: Tokens, store: AccountStore, memory: Memory) -> Saving:
    stored, previous = store.known.tokens, store.known.previous
    replaced = frozenset({previous.token} if previous else ())
    what = credentials.saving(tokens, stored, replaced)
    if what is Saving.WRITE and (stored is None or None not in {tokens.expires_at, stored.expires_at}):
        return what  # the generations cannot change that
    return credentials.saving(tokens, stored, replaced | owner.replaced_tokens(memory, store.known.name))


def _without_owner(live: LiveCredentials, why: str, suspect: str | None, memory: Memory) -> Saved:
    """Keep credentials that no store may take."""
    values = live.credentials.values if live.credentials else {}
    files = {CREDENTIALS: json_document.encode(credentials.with_own_keys(json_document.EMPTY, values))}
    if live.settings and live.identity:
        files[IDENTITY_FILE] = json_document.rendered(live.settings.values[IDENTITY])
    made = kept.keep(memory.unclaimed, files)
    return Saved(why, made, suspect)
