"""`accounts restore`: put a generation back into an account's store."""

import argparse
from collections.abc import Callable, Mapping

from failover_oneshot.accounts import credential_facts, kept, registry
from failover_oneshot.accounts.claude import live as claude_live
from failover_oneshot.accounts.kept import Entry
from failover_oneshot.accounts.method import SwapMethod
from failover_oneshot.config.model import Account
from failover_oneshot.ctl.accounts.target import (
    AccountsError,
    chosen,
    configured,
    needs_stores,
    put,
    read,
    refuse_unfinished,
)
from failover_oneshot.ctl.lib import installation
from failover_oneshot.ctl.lib.installation import Installation
from failover_oneshot.ctl.lib.store_contents import stored
from failover_oneshot.state.model import State


def restore(site: Installation, options: argparse.Namespace) -> int:
    """Make a generation the store's content. What the store holds becomes a generation first."""
    needs_stores(site.config)
    account = configured(site.config, options.name)
    entry = _entry(site, account, options.generation)
    contents = read(entry)
    done = ""

    def checked(state: State, guard: Callable[[], None]) -> SwapMethod:
        refuse_unfinished(state)
        method = registry.method(site.config, site.folder, state, guard)
        if why := method.foreign(account, contents):
            raise AccountsError(f"generation {entry.id} not restored: {why}")
        return method

    def work(state: State, guard: Callable[[], None]) -> State:
        nonlocal done
        done = put(checked(state, guard), site, account, contents)
        return state

    checked(site.peek(installation.now()).state, lambda: None)
    code = site.change_with_files(installation.now(), work)
    use = f"failoverctl swap --to {account.name}"
    advice = f"run `{use}` to use them"
    if registry.method(site.config, site.folder, site.peek(installation.now()).state).live_account() == account.name:
        use = "failoverctl swap"
        advice = f"{account.name} is live: run `{use}`, then restore again, or the next swap saves over these"
    text = f"{account.name}: restored generation {entry.id}; {done}\n{advice}"
    installation.say_fact(options, text, account=account.name, generation=entry.id, next=use)
    return code


def _entry(site: Installation, account: Account, generation: str | None) -> Entry:
    """The generation that was named, else the newest one that differs from the store."""
    entries = kept.entries(kept.generations(site.folder, account.name))
    if generation is not None:
        return chosen(entries, generation, f"generation of {account.name}")
    if not entries:
        raise AccountsError(f"no generation of {account.name} is kept")
    present = stored(site.config, account)
    found = next((entry for entry in entries if not _same(read(entry), present)), None)
    if found is None:
        raise AccountsError(f"{account.name}'s store already has the credentials of its only generation")
    return found


def _same(contents: Mapping[str, bytes], present: Mapping[str, bytes]) -> bool:
    """Whether both hold the same credentials: the same tokens, or the same bytes where no token is recognized."""
    tokens = _tokens(contents)
    return tokens == _tokens(present) if tokens else contents.items() <= present.items()


def _tokens(files: Mapping[str, bytes]) -> set[str]:
    single_use = {token for data in files.values() for token in credential_facts.refresh_tokens(data)}
    return single_use | {tokens.token for data in files.values() if (tokens := claude_live.tokens_in(data))}
