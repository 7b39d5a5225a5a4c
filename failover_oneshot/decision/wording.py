"""The texts of a decision. Pure.

A decision has two: ``summary`` is what fits in the summary line; ``reason`` is the whole sentence with the evidence,
for the log, `--json`, the state and the history.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from failover_oneshot.config.model import Config
from failover_oneshot.lib import durations
from failover_oneshot.lib.plural import plural, up_to
from failover_oneshot.model import Finding, Kind, Limit, Observation, Role
from failover_oneshot.state.model import State, clock, stamp

LIMITS = {
    Limit.FIVE_HOUR: "the 5-hour limit",
    Limit.SEVEN_DAY: "the weekly limit",
    Limit.SEVEN_DAY_OPUS: "the weekly Opus limit",
    Limit.SEVEN_DAY_SONNET: "the weekly Sonnet limit",
    Limit.MODEL: "a model limit",
    Limit.OVERAGE: "the extra-usage limit",
    Limit.SPEND: "the spending limit",
}
TROUBLES = {Kind.BILLING: "have a billing problem", Kind.AUTH: "have to log in again"}


def tally(config: Config, findings: Sequence[Finding], pool: int, dedicated: int) -> str:
    """The counts, and each session that was blocked or unreadable and did not count, in one sentence."""
    quota = config.quota
    in_pool = sum(f.role is Role.POOL for f in findings)
    parts = [f"{pool} of {in_pool} pool sessions blocked (threshold {quota.pool_threshold})"]
    named = len(findings) - in_pool
    if named:
        parts.append(f"{dedicated} of {named} dedicated (threshold {quota.dedicated_threshold})")
    left = [f"{f.name}: not counted, {f.why_not}" for f in findings if f.blocked and not f.counted]
    left += [f"{f.name}: unreadable, {f.error}" for f in findings if f.error is not None]
    more = (f"{len(left) - 3} more not counted or unreadable",) if len(left) > 3 else ()
    return "; ".join((", ".join(parts), *left[:3], *more))


def tally_in_short(config: Config, findings: Sequence[Finding], pool: int, dedicated: int) -> str:
    """The counts for the summary line; a threshold only where something is blocked."""
    quota = config.quota
    in_pool = sum(f.role is Role.POOL for f in findings)
    text = f"{pool} of {in_pool} pool sessions blocked"
    text += f" (threshold {quota.pool_threshold})" if pool else ""
    if dedicated:
        text += f", {dedicated} of {len(findings) - in_pool} dedicated (threshold {quota.dedicated_threshold})"
    left = sum(f.blocked and not f.counted for f in findings)
    unread = sum(f.error is not None for f in findings)
    text += f"; {plural(left, 'blocked session')} not counted" if left else ""
    return text + (f"; {plural(unread, 'session')} unreadable" if unread else "")


def hits_in_short(findings: Sequence[Finding], counted: Sequence[Finding], now: datetime) -> str:
    """How many sessions hit which limit, and the latest reset: `3 of 10 pool sessions hit the 5-hour limit (…)`."""
    parts = []
    for role in Role:
        hit = sum(f.role is role for f in counted)
        if hit:
            parts.append(f"{hit} of {sum(f.role is role for f in findings)} {role} sessions")
    known = [f.resets_at for f in counted if f.resets_at is not None]
    reset = f"resets {clock(max(known), now)}" if known else "no reset time"
    return f"{' and '.join(parts) or 'no sessions'} {_trouble(counted)} ({reset})"


def _trouble(counted: Sequence[Finding]) -> str:
    kinds = {f.kind for f in counted}
    if len(kinds) == 1 and (trouble := TROUBLES.get(next(iter(kinds)))):
        return trouble
    limits = {LIMITS.get(f.limit, "a limit") if f.limit else "a limit" for f in counted}
    return f"hit {limits.pop() if len(limits) == 1 else 'a limit'}"


def too_many_swaps(config: Config, swaps: Sequence[datetime]) -> str:
    """Why `swap.max_per_hour` forbids one more swap."""
    return (
        f"not swapped: {plural(len(swaps), 'swap')} in the last hour (swap.max_per_hour is {config.swap.max_per_hour})"
    )


def shown(findings: Sequence[Finding]) -> str:
    """The best piece of evidence: the hit with the latest reset."""
    if not findings:
        return "no session shows a hit any more"
    best = max(findings, key=lambda f: (f.resets_at is not None, f.resets_at.timestamp() if f.resets_at else 0.0))
    reset = f", resets {stamp(best.resets_at)}" if best.resets_at else ""
    return f"{best.name} shows “{best.snippet or best.pattern or best.kind}”{reset}"


def names(findings: Sequence[Finding]) -> str:
    """The sessions' names, at most ten of them."""
    return up_to(10, [f.name for f in findings])


def nothing_free(config: Config, state: State, observation: Observation, until: datetime | None) -> str:
    """Why no account can be swapped to, in the config's order.

    ``until``: when the active account's limit resets; None if the active account is not exhausted.
    """
    parts = []
    for account in config.accounts:
        free_at = until if account.name == state.active_account else state.account(account.name).exhausted_until
        if not account.enabled:
            parts.append(f"{account.name} is disabled")
        elif why := observation.unusable.get(account.name):
            parts.append(f"{account.name} is unusable: {why}")
        elif free_at is not None:
            parts.append(f"{account.name} is exhausted until {stamp(free_at)}")
        else:
            parts.append(f"{account.name} is active")
    return f"no account is free: {', '.join(parts)}"


def waiting_in_short(
    config: Config, observation: Observation, first: str | None, at: datetime | None, now: datetime
) -> str:
    """Which account is free first, and when: `all accounts exhausted; spare is free first, in 2h19m (21:42Z)`."""
    unusable = sum(a.name in observation.unusable for a in config.accounts if a.enabled)
    disabled = sum(not a.enabled for a in config.accounts)
    others = [f"{unusable} unusable"] * bool(unusable) + [f"{disabled} disabled"] * bool(disabled)
    text = f"no account is free ({', '.join(others)})" if others else "all accounts exhausted"
    if first is None or at is None:
        return text
    return f"{text}; {first} is free first, in {durations.format(_rounded(at - now))} ({clock(at, now)})"


def _rounded(left: timedelta) -> float:
    """Seconds without a fraction, never negative."""
    return float(max(0, round(left.total_seconds())))
