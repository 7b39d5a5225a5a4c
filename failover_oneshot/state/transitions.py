"""Changes the state: each function returns the next one. Pure."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from msgspec.structs import replace

from failover_oneshot.config.model import Account
from failover_oneshot.model import Finding, Kind
from failover_oneshot.state.model import HitMemory, SessionMemory, State, WarningMemory, seconds, stamp


def settle(state: State, now: datetime) -> tuple[State, list[str]]:
    """The state with future times set back to now, and a note for each change.

    The clock may have been set back. Otherwise a swap "in the future" would prolong the cooldown by the whole jump.
    """
    notes = []
    slack = now + timedelta(seconds=2)  # stored times are rounded
    if state.last_swap and state.last_swap.at > slack:
        notes.append(f"clock went back: treating the last swap, recorded at {stamp(state.last_swap.at)}, as made now")
        state = replace(state, last_swap=replace(state.last_swap, at=seconds(now)))
    if state.last_failure and state.last_failure.at > slack:
        state = replace(state, last_failure=replace(state.last_failure, at=seconds(now)))
    if state.suspected_hit_at and state.suspected_hit_at > slack:
        notes.append("clock went back: suspected hit dropped")
        state = replace(state, suspected_hit_at=None)
    return state, notes


def follow_names(
    accounts: Sequence[Account], state: State, holds: Callable[[Account, str], bool]
) -> tuple[State, dict[str, str]]:
    """The state with the accounts under their present names, and the names that the config has changed, old to new.

    Otherwise an exhausted account would look free under its new name (law L3). It is recognized by the place of its
    credentials, or by credentials of its lineage (``holds``: whether a store holds the ones of a fingerprint).
    """
    new_names = {}
    names = {account.name for account in accounts}
    for old in [name for name in state.accounts if name not in names]:
        fresh = [a for a in accounts if a.name not in state.accounts]
        found = next((a for a in fresh if _same_account(state, old, a, holds)), None)
        if found:
            new_names[old] = found.name
            state = renamed(state, old, found.name)
    for account in accounts:
        place = account.store or account.env_file
        if place and place != state.account(account.name).store:
            state = with_account(state, account.name, store=place)
    return state, new_names


def _same_account(state: State, old: str, account: Account, holds: Callable[[Account, str], bool]) -> bool:
    place = account.store or account.env_file
    if place and place == state.account(old).store:
        return True
    return any(holds(account, mark) for mark, name in state.lineage.items() if name == old)


def renamed(state: State, old: str, new: str) -> State:
    """The state with another name for an account, wherever it stands except in the history."""

    def name(known: Any) -> Any:
        return new if known == old else known

    swap, last = state.swap_in_progress, state.last_swap
    return replace(
        state,
        active_account=name(state.active_account),
        accounts={name(key): value for key, value in state.accounts.items()},
        lineage={mark: name(whose) for mark, whose in state.lineage.items()},
        unclaimed={key: replace(value, account=name(value.account)) for key, value in state.unclaimed.items()},
        sessions={key: _of_account(value, name) for key, value in state.sessions.items()},
        last_swap=replace(last, from_=name(last.from_), to=name(last.to)) if last else None,
        waiting=replace(state.waiting, account=name(state.waiting.account)) if state.waiting else None,
        swap_in_progress=replace(
            swap,
            from_=name(swap.from_),
            to=name(swap.to),
            candidates=tuple(map(name, swap.candidates)),
            prepared={key: name(value) for key, value in swap.prepared.items()},
        )
        if swap
        else None,
    )


def _of_account(memory: SessionMemory, name: Callable[[Any], Any]) -> SessionMemory:
    hit = replace(memory.hit, account=name(memory.hit.account)) if memory.hit else None
    return replace(memory, account=name(memory.account), hit=hit)


def remember(state: State, findings: Sequence[Finding], switches_at_message: bool, now: datetime) -> State:
    """The state with what the sessions show now.

    ``switches_at_message``: a running agent uses the new account from its next message on, as with the methods that
    replace files. Then each session counts as on the active account once the cooldown is over (docs/behavior.md,
    "What counts").
    """
    sessions = dict(state.sessions)
    for finding in findings:
        old = sessions.get(finding.name, SessionMemory())
        account = state.active_account if switches_at_message else (old.account or state.active_account)
        sessions[finding.name] = replace(
            old,
            account=account,
            hit=_hit(old, finding),
            warning=_warning(old, finding, now),
            kind=finding.kind,
            since=old.since if old.kind is finding.kind and old.since else seconds(now),
        )
        if finding.kind is Kind.WARNING and finding.resets_at and account:
            state = with_account(state, account, window_resets_at=finding.resets_at)
    return replace(state, sessions=sessions)


def _hit(old: SessionMemory, finding: Finding) -> HitMemory | None:
    if finding.identity and finding.first_seen is not None:
        return HitMemory(
            first_seen=seconds(finding.first_seen),
            pattern=finding.pattern,
            snippet=finding.snippet,
            resets_at=finding.resets_at,
            acted_on=finding.acted_on,
            kind=finding.kind,
            limit=finding.limit,
            account=finding.account,
            reset_text=finding.reset_text,
            identity=finding.identity,
        )
    # A blank or unreadable pane proves nothing: a restart may show the old text again.
    return None if finding.moved_on else old.hit


def _warning(old: SessionMemory, finding: Finding, now: datetime) -> WarningMemory | None:
    if finding.kind is Kind.UNREADABLE:
        return old.warning
    if finding.kind is not Kind.WARNING:
        return None
    if old.warning and old.warning.snippet == finding.snippet:
        return old.warning
    return WarningMemory(
        first_seen=seconds(now), snippet=finding.snippet, limit=finding.limit, resets_at=finding.resets_at
    )


def mark_acted_on(state: State, names: Sequence[str]) -> State:
    """The state in which the current hits of these sessions are handled and never count again (law L3)."""
    sessions = dict(state.sessions)
    for name in names:
        memory = sessions.get(name)
        if memory and memory.hit:
            sessions[name] = replace(memory, hit=replace(memory.hit, acted_on=True))
    return replace(state, sessions=sessions)


def mark_exhausted(state: State, until: datetime, reason: str | None, now: datetime) -> State:
    """The state in which the active account counts as exhausted until ``until``."""
    name = state.active_account
    if name is None:
        return state
    reason = reason or state.account(name).reason
    return with_account(state, name, exhausted_until=until, last_hit_at=seconds(now), reason=reason)


def with_account(state: State, name: str, **changes: Any) -> State:
    """The state with some fields of one account replaced."""
    return replace(state, accounts={**state.accounts, name: replace(state.account(name), **changes)})
