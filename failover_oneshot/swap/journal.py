"""The journal of a swap and its transitions, without the world: `runner.py` performs what stands here. Pure."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from failover_oneshot.config.model import Config, Method
from failover_oneshot.decision.decision import Action, Decision
from failover_oneshot.lib import durations
from failover_oneshot.model import Finding, Outcome, Restart
from failover_oneshot.report import Move
from failover_oneshot.state.model import (
    Journal,
    LastSwap,
    Rejected,
    SessionMemory,
    State,
    SwapStep,
    Trouble,
    Waiting,
    seconds,
    stamp,
)
from failover_oneshot.state.transitions import mark_acted_on, mark_exhausted, remember, with_account

__all__ = [
    "RULES",
    "ActionResult",
    "SwapStep",
    "begin",
    "current",
    "evidence",
    "finished",
    "given_up",
    "intend",
    "move",
    "next_candidate",
    "waited",
]

# What the next run does with a journal that stands at a step, and why it may (docs/swap.md).
RULES: Final = {
    SwapStep.SAVE_BACK: "forward: at most the store was brought up to date, and to do that twice is as good as once",
    SwapStep.INSTALL: "forward: what is live is saved, then the files not yet in place follow; if that fails, back",
    SwapStep.VERIFY: "forward: the files are in place and are read back; if they are not right, back",
    SwapStep.RESTART: "forward only: the account is live; the sessions that are not yet restarted are",
    SwapStep.RECORD: "forward only: all is done but the record",
}


class ActionResult(Struct, frozen=True, kw_only=True):
    """How a decision ended that was carried out."""

    outcome: Outcome
    reason: str
    summary: str = ""  # for the summary line; "": the decision's own
    move: Move | None = None
    restarts: tuple[Restart, ...] = ()


def begin(state: State, decision: Decision, findings: Sequence[Finding], now: datetime) -> State:
    """The state with the intent of a SWAP or RESUME decision in its journal."""
    resume = decision.action is Action.RESUME
    active = state.active_account
    if decision.exhausted_until is not None:
        state = mark_exhausted(state, decision.exhausted_until, evidence(findings), now)
    journal = Journal(
        started_at=seconds(now),
        kind="resume" if resume else "failback" if decision.failback else "swap",
        from_=active,
        to=active if resume else decision.candidates[0],
        step=SwapStep.RESTART if resume else SwapStep.SAVE_BACK,
        reason=decision.reason,
        candidates=() if resume else decision.candidates[1:],
        acted_on=decision.acted_on,
        runs=0,
    )
    return replace(state, swap_in_progress=journal, suspected_hit_at=None, waiting=None)


def evidence(findings: Sequence[Finding]) -> str | None:
    """The words of the first hit that counted."""
    return next((f.snippet for f in findings if f.counted and f.snippet), None)


def current(state: State) -> Journal:
    """The journal of a state that has one."""
    if state.swap_in_progress is None:
        raise AssertionError("no swap is in progress")
    return state.swap_in_progress


def move(journal: Journal) -> Move | None:
    """From which account to which; None for a resume."""
    return None if journal.kind == "resume" else Move(from_=journal.from_, to=journal.to or "")


def next_candidate(state: State, why: str, now: datetime) -> State:
    """The state in which the target is rejected with the reason and the next candidate, if any, takes its place.

    Without one the journal's ``to`` is None, and the swap has to be given up.
    """
    journal = current(state)
    name = journal.to or ""
    state = with_account(state, name, unusable=Trouble(at=seconds(now), reason=why))
    journal = replace(
        journal,
        step=SwapStep.SAVE_BACK,
        to=journal.candidates[0] if journal.candidates else None,
        candidates=journal.candidates[1:],
        rejected=(*journal.rejected, Rejected(account=name, reason=why)),
        prepared={},
    )
    return replace(state, swap_in_progress=journal)


def intend(config: Config, state: State, decision: Decision, findings: Sequence[Finding], now: datetime) -> State:
    """The state with what was seen and what was decided, before any of it is carried out."""
    state = remember(state, findings, config.swap.method is not Method.ENV, now)
    state = waited(state, decision.waiting, now, config.state.history)
    state = replace(state, suspected_hit_at=decision.suspected_hit_at, waiting=decision.waiting)
    if decision.action in {Action.SWAP, Action.RESUME}:
        return begin(state, decision, findings, now)
    if decision.action is Action.WAIT and state.active_account and decision.exhausted_until:
        return mark_exhausted(state, decision.exhausted_until, evidence(findings), now)
    return state


def finished(state: State, now: datetime, keep: int) -> tuple[State, ActionResult]:
    """The state after the last step: the swap recorded, its hits answered, the suspicion cleared."""
    journal = current(state)
    at = seconds(now)
    resumed = journal.kind == "resume"
    outcome = Outcome.RESUMED if resumed else Outcome.SWAPPED
    account = journal.to or ""
    if not resumed:
        last = LastSwap(at=at, from_=journal.from_, to=account, reason=journal.reason)
        state = replace(state, active_account=account, last_swap=last)
        state = with_account(state, account, unusable=None)
        if journal.from_ is not None:
            state = with_account(state, journal.from_, last_used_at=at)
    state = mark_acted_on(state, journal.acted_on)
    state = _moved(state, journal.restarts, account)
    state = _recorded(state, journal, outcome, journal.reason, now, keep)
    state = replace(state, swap_in_progress=None, suspected_hit_at=None, waiting=None)
    again = f" (finished by run {journal.runs})" if journal.runs > 1 else ""
    return state, ActionResult(
        outcome=outcome, reason=journal.reason + again, move=move(journal), restarts=journal.restarts
    )


def given_up(state: State, why: str, now: datetime, keep: int) -> tuple[State, ActionResult]:
    """The state after an attempt in which no candidate worked.

    The cooldown counts from it too, so that a swap which keeps failing does not repeat with every check.
    """
    journal = current(state)
    summary = f"swap failed; rolled back to {journal.from_ or 'no account'}: {why}"
    reason = f"{journal.reason}; {summary}"
    state = _recorded(state, journal, Outcome.FAILED, reason, now, keep)
    state = replace(state, swap_in_progress=None, last_failure=Trouble(at=seconds(now), reason=why))
    return state, ActionResult(outcome=Outcome.FAILED, reason=reason, summary=summary)


def waited(state: State, waiting: Waiting | None, now: datetime, keep: int) -> State:
    """The state with an entry of history for the wait that ends with this decision, if one does.

    ``waiting``: what the decision leaves of it; None when it is over.
    """
    over = state.waiting
    if over is None or waiting is not None:
        return state
    from failover_oneshot.state.history import HistoryEntry, with_history  # a healthy check has nothing to add

    first = f"; {over.account} was to free first, at {stamp(over.until)}" if over.account and over.until else ""
    entry = HistoryEntry(
        at=seconds(now),
        outcome=str(Outcome.WAITING),
        from_=state.active_account,
        reason=f"no account was free for {durations.format(max(0.0, (now - over.since).total_seconds()))}{first}",
        since=seconds(over.since),
        account=over.account,
        until=seconds(over.until) if over.until else None,
    )
    return with_history(state, entry, keep)


def _recorded(state: State, journal: Journal, outcome: Outcome, reason: str, now: datetime, keep: int) -> State:
    """The state with an entry of history for an attempt that ended."""
    from failover_oneshot.state.history import HistoryEntry, with_history

    until = state.account(journal.from_).exhausted_until if journal.from_ and journal.kind == "swap" else None
    entry = HistoryEntry(
        at=seconds(now),
        outcome=str(outcome),
        from_=journal.from_,
        to=journal.to,
        reason=reason,
        rejected={r.account: r.reason for r in journal.rejected},
        sessions={r.session: f"{r.action} {r.status}" for r in journal.restarts},
        exhausted_until=seconds(until) if until else None,
        hits=_hits(state, journal.acted_on),
    )
    return with_history(state, entry, keep)


def _hits(state: State, names: Sequence[str]) -> dict[str, datetime]:
    """The sessions whose hits a swap answers, and when each was first seen. No more: every check reads all history."""
    hits = {name: memory.hit for name in names if (memory := state.sessions.get(name))}
    return {name: seconds(hit.first_seen) for name, hit in hits.items() if hit}


def _moved(state: State, restarts: Sequence[Restart], account: str) -> State:
    """The state in which the restarted sessions run on ``account``."""
    sessions = dict(state.sessions)
    for restart in restarts:
        if restart.status == "done":
            sessions[restart.session] = replace(sessions.get(restart.session, SessionMemory()), account=account)
    return replace(state, sessions=sessions)
