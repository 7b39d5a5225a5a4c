"""Waiting while every account is exhausted: for which one, until when, and what is restarted after it. Pure."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from msgspec.structs import replace

from failover_oneshot.config.model import Config
from failover_oneshot.decision.decision import Action, Decision
from failover_oneshot.lib import durations
from failover_oneshot.model import Finding, Observation, Outcome
from failover_oneshot.state.model import State, Waiting, seconds


def exhausted_until(config: Config, state: State, counted: Sequence[Finding], now: datetime) -> datetime:
    """Until when the active account counts as exhausted: the latest reset of the counted hits."""
    known = [f.resets_at for f in counted if f.resets_at is not None]
    if known:
        return max(known)
    already = state.account(state.active_account).exhausted_until
    if already is not None and already > now:  # the backoff runs from the first check that saw the hit
        return already
    return seconds(now + timedelta(seconds=config.quota.unknown_reset_backoff))


def free_first(
    config: Config, state: State, observation: Observation, until: datetime, now: datetime
) -> tuple[datetime | None, str | None]:
    """When the first of the exhausted accounts is free again, and which it is; (None, None) if that is not known."""
    frees: list[tuple[datetime, str]] = []
    for account in config.accounts:
        free_at = until if account.name == state.active_account else state.account(account.name).exhausted_until
        usable = account.enabled and account.name not in observation.unusable
        if usable and free_at is not None and free_at > now:
            frees.append((free_at, account.name))
    return min(frees, default=(None, None))


def wait(
    base: Decision, state: State, account: str | None, until: datetime | None, reason: str, now: datetime
) -> Decision:
    """The decision to wait for ``account``, free at ``until``; both None if that is not known."""
    old = state.waiting
    waiting = Waiting(
        since=old.since if old else seconds(now), account=account, until=until, checks=old.checks + 1 if old else 1
    )
    if old:
        waited = durations.format(max(0.0, (now - old.since).total_seconds()))
        reason = f"waiting for {waited} ({waiting.checks} checks): {reason}"
    return replace(
        base,
        action=Action.WAIT,
        outcome=Outcome.WAITING,
        reason=reason,
        next_possible_at=until if account else None,
        suspected_hit_at=None,
        waiting=waiting,
    )


def resumable(state: State, findings: Sequence[Finding], now: datetime) -> list[Finding]:
    """The sessions that are still blocked once the active account is free again."""
    if state.exhausted(state.active_account, now):
        return []
    return [f for f in findings if f.blocked and not f.acted_on and (f.resets_at is None or f.resets_at <= now)]
