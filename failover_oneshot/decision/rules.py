"""The eight rules of docs/behavior.md, "Decision", as one pure function of values.

``decide`` never looks at a clock, the disk or tmux; the same arguments give the same decision. Each decision carries
the sentence that the operator reads in the journal.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from msgspec.structs import replace

from failover_oneshot.config.model import Config
from failover_oneshot.decision.candidates import candidates
from failover_oneshot.decision.decision import Action, Decision
from failover_oneshot.decision.wording import (
    hits_in_short,
    names,
    nothing_free,
    shown,
    tally,
    tally_in_short,
    too_many_swaps,
    waiting_in_short,
)
from failover_oneshot.lib import durations
from failover_oneshot.model import Finding, Observation, Outcome, Role
from failover_oneshot.state.model import State, clock, seconds, stamp

HOUR = timedelta(hours=1)


def decide(
    config: Config, state: State, observation: Observation, findings: Sequence[Finding], now: datetime
) -> Decision:
    """The decision for this instant, by the rules in their order (docs/behavior.md, "Decision").

    ``state`` has been settled (`state.transitions.settle`), ``findings`` carry what counts (`findings.detect`).
    """
    return before_observing(config, state, now) or _judge(config, state, observation, findings, now)


def before_observing(config: Config, state: State, now: datetime) -> Decision | None:
    """Rules 1 to 3, which need no observation; None if the panes decide."""
    journal = state.swap_in_progress
    if journal is not None:
        kind, what = "swap", f"swap from {journal.from_ or 'no account'} to {journal.to}"
        if journal.kind == "resume":
            kind, what = "restart", f"restart of the blocked sessions on {journal.to or 'the active account'}"
        return Decision(
            action=Action.FINISH,
            outcome=Outcome.RESUMED if journal.kind == "resume" else Outcome.SWAPPED,
            summary=f"interrupted {kind}, continued at step {journal.step}",
            reason=f"resuming an interrupted {what} at step {journal.step} (started {stamp(journal.started_at)})",
            suspected_hit_at=state.suspected_hit_at,
            waiting=state.waiting,
        )
    pause = state.paused
    if pause is not None and (pause.until is None or now < pause.until):
        why = f" ({pause.reason})" if pause.reason else ""
        summary = f"until {clock(pause.until, now) if pause.until else '`failoverctl resume`'}{why}"
        end = f"until {stamp(pause.until)}" if pause.until else "until `failoverctl resume`"
        reason = f"paused by the operator since {stamp(pause.since)} {end}{why}"
        return _hold(Outcome.PAUSED, summary, reason, state, pause.until)
    return _cooldown(config, state, now)


def _cooldown(config: Config, state: State, now: datetime) -> Decision | None:
    attempts = []
    if state.last_swap:
        attempts.append((state.last_swap.at, f"the swap to {state.last_swap.to}"))
    if state.last_failure and not state.last_failure.untouched:
        attempts.append((state.last_failure.at, "the failed attempt"))
    if not attempts:
        return None
    at, what = max(attempts)
    # A time in the future (the clock went back) counts as now: one cooldown, not longer.
    left = min(config.quota.reactivate_cooldown - (now - at).total_seconds(), config.quota.reactivate_cooldown)
    if left <= 0:
        return None
    until = seconds(now + timedelta(seconds=left))
    summary = f"{durations.format(left)} left (until {clock(until, now)})"
    reason = f"{durations.format(left)} of cooldown left after {what} at {stamp(at)}; no detection until {stamp(until)}"
    return _hold(Outcome.COOLDOWN, summary, reason, state, until)


def _judge(
    config: Config, state: State, observation: Observation, findings: Sequence[Finding], now: datetime
) -> Decision:
    """Rules 4 to 8: the panes decide."""
    if not observation.sessions:
        why = "no session of the range is running" if observation.server_running else "no tmux server is running"
        decision = _hold(Outcome.NO_SESSIONS, why, why, state, None)
        return _clear_suspicion(decision, state)

    counted = [f for f in findings if f.counted]
    pool = sum(f.role is Role.POOL for f in counted)
    dedicated = sum(f.role is Role.DEDICATED for f in counted)
    base = Decision(
        action=Action.HOLD,
        outcome=Outcome.OK,
        summary=tally_in_short(config, findings, pool, dedicated),
        reason=tally(config, findings, pool, dedicated),
        blocked_pool=pool,
        blocked_dedicated=dedicated,
        suspected_hit_at=state.suspected_hit_at,
        waiting=state.waiting,
    )
    reached = pool >= config.quota.pool_threshold or dedicated >= config.quota.dedicated_threshold
    waiting = state.waiting

    if waiting is not None:
        from failover_oneshot.decision.waiting import resumable  # a healthy check waits for nothing

        freed = resumable(state, findings, now)
        if freed and state.active_account:
            return replace(
                base,
                action=Action.RESUME,
                outcome=Outcome.RESUMED,
                summary=f"{state.active_account} is free again",
                reason=f"{state.active_account} is free again: restarting {names(freed)} on it",
                acted_on=tuple(f.name for f in freed),
                suspected_hit_at=None,
                waiting=None,
            )
        # A confirmed hit stays confirmed while any session is blocked on the exhausted account.
        stuck = state.exhausted(state.active_account, now) and bool(counted)
        reached = reached or stuck

    if not reached:
        return _failback(config, state, observation, base, findings, now) or _below(base, state, findings)

    # Rule 6 [daemon]: without a reset time, two checks in a row have to see the hit.
    known = [f.resets_at for f in counted if f.resets_at is not None]
    confirmed = bool(known) or waiting is not None or state.exhausted(state.active_account, now)
    if not confirmed:
        suspect = _suspect(config, state, base, counted, findings, now)
        if suspect is not None:
            return suspect
    return _move(config, state, observation, base, counted, findings, now)


def swaps_last_hour(state: State, now: datetime) -> list[datetime]:
    """When the swaps of the last hour ended, oldest first; `swap.max_per_hour` limits them."""
    from failover_oneshot.state.history import swaps_since  # not needed while no session is blocked

    return swaps_since(state, now - HOUR, now)


def _failback(
    config: Config, state: State, observation: Observation, base: Decision, findings: Sequence[Finding], now: datetime
) -> Decision | None:
    """With `quota.failback`: back to the preferred account when it is free and every session is idle."""
    preferred = next((a.name for a in config.accounts if a.enabled), None)
    quiet = not any(f.busy or f.blocked or f.error for f in findings)
    if not config.quota.failback or not quiet or preferred in {None, state.active_account}:
        return None
    swaps = len(swaps_last_hour(state, now))
    if preferred not in candidates(config, state, observation.unusable, now) or swaps >= config.swap.max_per_hour:
        return None
    return replace(
        base,
        action=Action.SWAP,
        outcome=Outcome.SWAPPED,
        summary=f"{preferred} is free again and every session is idle",
        reason=f"{base.reason}; going back to {preferred}: it is free again and every session is idle",
        candidates=(str(preferred),),
        failback=True,
        suspected_hit_at=None,
        waiting=None,
    )


def _below(base: Decision, state: State, findings: Sequence[Finding]) -> Decision:
    """Rule 5: too few hits."""
    blind = [f for f in findings if f.error is not None]
    if state.suspected_hit_at is not None and blind:
        note = f"suspected hit kept: cannot read {names(blind)}, so nothing confirms or clears it"
        return replace(base, waiting=None, notes=(*base.notes, note))
    return _clear_suspicion(replace(base, waiting=None), state)


def _clear_suspicion(decision: Decision, state: State) -> Decision:
    if state.suspected_hit_at is None:
        return decision
    note = "suspected hit cleared (no detection this poll)"
    return replace(decision, suspected_hit_at=None, notes=(*decision.notes, note))


def _suspect(
    config: Config,
    state: State,
    base: Decision,
    counted: Sequence[Finding],
    findings: Sequence[Finding],
    now: datetime,
) -> Decision | None:
    """Rule 6: None if the suspicion is confirmed."""
    poll = config.quota.poll_interval
    since = state.suspected_hit_at
    if since is not None:
        age = (now - since).total_seconds()
        if poll / 2 <= age <= 3 * poll:
            return None
        if age > 3 * poll or age < 0:  # void: the timer was paused, or the clock went back
            since = None
    first = since or now
    again = first + timedelta(seconds=poll / 2)
    return replace(
        base,
        action=Action.SUSPECT,
        outcome=Outcome.SUSPECTED,
        summary=f"{hits_in_short(findings, counted, now)}; the next check confirms or clears it",
        reason=f"{base.reason}: {shown(counted)}; no reset time, so the next check has to confirm it",
        suspected_hit_at=first,
        next_possible_at=again,
    )


def _move(
    config: Config,
    state: State,
    observation: Observation,
    base: Decision,
    counted: Sequence[Finding],
    findings: Sequence[Finding],
    now: datetime,
) -> Decision:
    """Rules 7 and 8: swap, or wait for the account that is free first."""
    from failover_oneshot.decision.waiting import exhausted_until, free_first, wait  # a healthy check needs none of it

    active = state.active_account
    until = exhausted_until(config, state, counted, now)
    # The swap handles every hit on the screens, including those that do not count.
    blocked = [f for f in findings if f.blocked]
    hits = hits_in_short(findings, counted or blocked, now)
    evidence = f"{base.reason}: {shown(counted or blocked)}"
    if not config.accounts:
        base = replace(base, summary=f"{hits}; no accounts configured, nothing to swap to")
        return wait(base, state, None, until, f"{evidence}; no accounts configured, nothing to swap to", now)

    found = candidates(config, state, observation.unusable, now)
    if not found:
        at, first = free_first(config, state, observation, until, now)
        base = replace(base, summary=waiting_in_short(config, observation, first, at, now), exhausted_until=until)
        reason = f"{evidence}; {nothing_free(config, state, observation, until)}"
        reason += f"; {first} is free first, at {stamp(at)}" if at else ""
        return wait(base, state, first, at, reason, now)
    swaps = swaps_last_hour(state, now)
    if len(swaps) >= config.swap.max_per_hour:
        return _too_many(config, base, evidence, swaps, now)
    return replace(
        base,
        action=Action.SWAP,
        outcome=Outcome.SWAPPED,
        summary=hits,
        reason=f"{evidence}; {active or 'the active account'} is exhausted until {stamp(until)}",
        candidates=found,
        exhausted_until=until,
        acted_on=tuple(f.name for f in blocked),
        suspected_hit_at=None,
        waiting=None,
    )


def _too_many(config: Config, base: Decision, evidence: str, swaps: Sequence[datetime], now: datetime) -> Decision:
    """A swap is due, but `swap.max_per_hour` is reached."""
    free_at = seconds(swaps[-config.swap.max_per_hour] + HOUR)
    why = too_many_swaps(config, swaps)
    return replace(
        base,
        action=Action.FAIL,
        outcome=Outcome.FAILED,
        summary=f"{why}; next possible at {clock(free_at, now)}",
        reason=f"{evidence}; {why}; next possible at {stamp(free_at)}",
        next_possible_at=free_at,
    )


def _hold(outcome: Outcome, summary: str, reason: str, state: State, until: datetime | None) -> Decision:
    return Decision(
        action=Action.HOLD,
        outcome=outcome,
        summary=summary,
        reason=reason,
        next_possible_at=until,
        suspected_hit_at=state.suspected_hit_at,
        waiting=state.waiting,
    )
