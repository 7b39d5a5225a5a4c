"""A swap's journal and its transitions as values. Pure; `runner.py` carries them out."""

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
    Failure,
    Journal,
    LastSwap,
    Rejected,
    SessionMemory,
    State,
    SwapStep,
    Unusable,
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

# What the next check does with a journal at each step (docs/swap.md has the same words).
RULES: Final = {
    SwapStep.SAVE_BACK: "saving the live credentials; saving them twice is harmless",
    SwapStep.INSTALL: "saving the live credentials, then installing the remaining files; rolling back on failure",
    SwapStep.VERIFY: "reading back the installed files; rolling back if they are wrong",
    SwapStep.RESTART: "restarting the remaining sessions; the account is active, so no rollback",
    SwapStep.RECORD: "writing the record, the only step left; no rollback",
}


class ActionResult(Struct, frozen=True, kw_only=True):
    """How carrying out a decision ended. `reason` is for people: the decision's reason and what came of it."""

    outcome: Outcome
    reason: str
    summary: str = ""  # for the summary line; "": the decision's own
    move: Move | None = None
    restarts: tuple[Restart, ...] = ()


def begin(state: State, decision: Decision, findings: Sequence[Finding], now: datetime) -> State:
    """The state with a SWAP or RESUME decision in its journal."""
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
    """The snippet of the first hit that counted; None when no hit has one."""
    return next((f.snippet for f in findings if f.counted and f.snippet), None)


def current(state: State) -> Journal:
    """The journal of a state that has one."""
    if state.swap_in_progress is None:
        raise AssertionError("no swap is in progress")
    return state.swap_in_progress


def move(journal: Journal) -> Move | None:
    """The swap's two accounts; None for a resume."""
    return None if journal.kind == "resume" else Move(from_=journal.from_, to=journal.to or "")


def next_candidate(state: State, why: str, now: datetime) -> State:
    """The state with the target rejected for the reason `why` and the next candidate in its place.

    Without another candidate the journal's ``to`` is None; give the swap up then.
    """
    journal = current(state)
    name = journal.to or ""
    state = with_account(state, name, unusable=Unusable(at=seconds(now), reason=why))
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
    """The state with the findings and the decision in it, to be saved before the decision is carried out."""
    state = remember(state, findings, config.swap.method is not Method.ENV, now)
    state = waited(state, decision.waiting, now, config.state.history)
    state = replace(state, suspected_hit_at=decision.suspected_hit_at, waiting=decision.waiting)
    if decision.action in {Action.SWAP, Action.RESUME}:
        return begin(state, decision, findings, now)
    if decision.action is Action.WAIT and state.active_account and decision.exhausted_until:
        return mark_exhausted(state, decision.exhausted_until, evidence(findings), now)
    return state


def finished(state: State, now: datetime, keep: int) -> tuple[State, ActionResult]:
    """The state after the last step: the swap recorded, its hits handled, the suspicion cleared."""
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
    again = f" (took {journal.runs} checks)" if journal.runs > 1 else ""
    return state, ActionResult(
        outcome=outcome, reason=journal.reason + again, move=move(journal), restarts=journal.restarts
    )


def given_up(state: State, why: str, now: datetime, keep: int) -> tuple[State, ActionResult]:
    """The state after an attempt in which no candidate worked.

    It starts a cooldown too, so that a swap that keeps failing is not repeated by every check. A failure before
    anything was changed does not: the next check tries again, and the history has one entry for all that fail alike.
    """
    journal = current(state)
    back = f"rolled back to {journal.from_ or 'what was live before'}" if journal.touched else "nothing changed"
    summary = f"{why}; {back}"
    reason = f"{journal.reason}; swap failed: {summary}"
    before = state.last_failure
    again = before is not None and before.untouched and before.reason == why and not journal.touched
    if not again:
        state = _recorded(state, journal, Outcome.FAILED, reason, now, keep)
    failure = Failure(at=seconds(now), reason=why, untouched=not journal.touched)
    state = replace(state, swap_in_progress=None, last_failure=failure)
    return state, ActionResult(outcome=Outcome.FAILED, reason=reason, summary=summary)


def waited(state: State, waiting: Waiting | None, now: datetime, keep: int) -> State:
    """The state with a history entry if this decision ends a wait.

    ``waiting`` is the wait that the decision leaves; None when there is none.
    """
    over = state.waiting
    if over is None or waiting is not None:
        return state
    from failover_oneshot.state.history import HistoryEntry, with_history  # here: a healthy check does not need it

    first = f"; {over.account} was due first, at {stamp(over.until)}" if over.account and over.until else ""
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
    """The state with a history entry for an attempt that ended."""
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
    """The sessions whose hits a swap handles, and when each was first seen. Small, as each check reads all history."""
    hits = {name: memory.hit for name in names if (memory := state.sessions.get(name))}
    return {name: seconds(hit.first_seen) for name, hit in hits.items() if hit}


def _moved(state: State, restarts: Sequence[Restart], account: str) -> State:
    """The state with the restarted sessions on ``account``."""
    sessions = dict(state.sessions)
    for restart in restarts:
        if restart.status == "done":
            sessions[restart.session] = replace(sessions.get(restart.session, SessionMemory()), account=account)
    return replace(state, sessions=sessions)
