"""What `failoverctl status` shows, as one value: the state, the sessions, and what the next check would do. Pure.

Encoded as it is, it is the object of `status --json`. Times are UTC, durations are seconds.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from msgspec import Struct

from failover_oneshot.config.model import Config
from failover_oneshot.decision.decision import Decision
from failover_oneshot.decision.rules import swaps_last_hour
from failover_oneshot.model import Finding, Kind, Limit, Outcome, Role, TaskTally
from failover_oneshot.state.model import (
    Journal,
    LastCheck,
    LastSwap,
    Pause,
    SessionMemory,
    State,
    Trouble,
    Waiting,
    seconds,
)

FREE, EXHAUSTED, UNUSABLE, DISABLED = "free", "exhausted", "unusable", "disabled"


class AccountStatus(Struct, frozen=True, kw_only=True):
    """One account of the config."""

    name: str
    active: bool
    state: str  # free | exhausted | unusable | disabled
    free_at: datetime | None = None  # only while it is exhausted
    free_in: float | None = None
    reason: str | None = None  # the snippet of the hit that exhausted it
    problem: str | None = None  # the problem with its store
    last_hit_at: datetime | None = None
    last_used_at: datetime | None = None
    window_resets_at: datetime | None = None
    last_failure: Trouble | None = None  # the last attempt to swap to it that failed


class SessionStatus(Struct, frozen=True, kw_only=True):
    """One watched session. ``running`` None: tmux failed, and the values are from the state."""

    name: str
    role: Role | None
    running: bool | None
    kind: Kind | None
    since: datetime | None = None
    account: str | None = None
    blocked: bool = False
    counted: bool = False
    stale: bool = False
    why_not: str | None = None
    busy: bool = False
    limit: Limit | None = None
    resets_at: datetime | None = None
    resets_in: float | None = None
    rule: str | None = None
    snippet: str | None = None
    error: str | None = None
    own_login: str | None = None
    held: Trouble | None = None  # why it gets no task for a while


class Cooldown(Struct, frozen=True, kw_only=True):
    """A cooldown that has not ended; ``left``: in seconds."""

    until: datetime
    left: float


class NextCheck(Struct, frozen=True, kw_only=True):
    """What a check would decide at this instant."""

    outcome: Outcome
    summary: str  # in short, for people
    reason: str  # with the evidence
    to: str | None = None  # the account that it would swap to
    at: datetime | None = None  # the earliest instant at which a check can decide otherwise


class Timer(Struct, frozen=True, kw_only=True):
    """The systemd user timer, as systemctl reports it."""

    active: bool
    next_at: datetime | None = None
    next_in: float | None = None
    running: bool = False  # a check is running now
    note: str | None = None  # the problem with the timer, and its fix


class UnclaimedRow(Struct, frozen=True, kw_only=True):
    """One entry of `unclaimed/`, as `--json` prints it."""

    file: str  # its id, which `accounts unclaimed assign` takes
    at: datetime
    identity: str | None
    expires_at: datetime | None  # of the access token
    account: str | None  # the one that they may belong to
    reason: str | None  # None: the state does not know this entry


class StatusReport(Struct, frozen=True, kw_only=True):
    """Everything that `status` prints."""

    version: int = 1
    at: datetime
    state_file: str
    active_account: str | None
    live_account: str | None  # the account that the live credentials belong to, if known
    next: NextCheck | None
    blocked_pool: int
    blocked_dedicated: int
    accounts: tuple[AccountStatus, ...]
    sessions: tuple[SessionStatus, ...]
    cooldown: Cooldown | None
    suspected_hit_at: datetime | None
    paused: Pause | None
    waiting: Waiting | None
    swap_in_progress: Journal | None
    swaps_last_hour: int
    last_swap: LastSwap | None
    last_failure: Trouble | None
    last_check: LastCheck | None
    tasks: TaskTally | None = None  # None: dispatch is not configured
    timer: Timer | None = None
    unclaimed: tuple[UnclaimedRow, ...] = ()  # credentials whose owner is not known
    notes: tuple[str, ...] = ()  # warnings, such as what could not be read


def compose(
    config: Config,
    state: State,
    findings: Sequence[Finding] | None,
    decision: Decision | None,
    now: datetime,
    *,
    state_file: str,
    problems: Mapping[str, str] | None = None,
    live: str | None = None,
    timer: Timer | None = None,
    tasks: TaskTally | None = None,
    unclaimed: Sequence[UnclaimedRow] = (),
    notes: Sequence[str] = (),
) -> StatusReport:
    """The status at the instant ``now``.

    ``findings``: None if tmux failed. ``decision``: what a check would decide. ``problems``: account name to the
    problem with its store. ``live``: the account that the live credentials belong to.
    """
    if findings is None:
        sessions = tuple(_remembered(name, memory, None, config, now) for name, memory in state.sessions.items())
    else:
        here = {finding.name for finding in findings}
        gone = ((name, memory) for name, memory in state.sessions.items() if name not in here)
        sessions = (
            *(_seen(finding, state.sessions.get(finding.name, SessionMemory()), now) for finding in findings),
            *(_remembered(name, memory, False, config, now) for name, memory in gone),
        )
    return StatusReport(
        at=seconds(now),
        state_file=state_file,
        active_account=state.active_account,
        live_account=live,
        next=next_of(state, decision) if decision else None,
        blocked_pool=decision.blocked_pool if decision else 0,
        blocked_dedicated=decision.blocked_dedicated if decision else 0,
        accounts=tuple(_account(config, state, account.name, problems or {}, now) for account in config.accounts),
        sessions=sessions,
        cooldown=_cooldown(config, state, now),
        suspected_hit_at=state.suspected_hit_at,
        paused=state.paused if state.paused and (state.paused.until is None or now < state.paused.until) else None,
        waiting=state.waiting,
        swap_in_progress=state.swap_in_progress,
        swaps_last_hour=len(swaps_last_hour(state, now)),
        last_swap=state.last_swap,
        last_failure=state.last_failure,
        last_check=state.last_check,
        tasks=tasks,
        timer=timer,
        unclaimed=tuple(unclaimed),
        notes=tuple(notes),
    )


def next_of(state: State, decision: Decision) -> NextCheck:
    """The decision in short; ``to`` is the account of an unfinished swap if the decision has no candidate."""
    owed = state.swap_in_progress.to if state.swap_in_progress else None
    to = next(iter(decision.candidates), owed)
    return NextCheck(
        outcome=decision.outcome,
        summary=decision.summary,
        reason=decision.reason,
        to=to,
        at=decision.next_possible_at,
    )


def would(plan: NextCheck) -> str:
    """What a check would do, as a sentence for people."""
    does = {
        Outcome.SWAPPED: f"would swap to {plan.to}: ",
        Outcome.RESUMED: "would restart the blocked sessions: ",
        Outcome.SUSPECTED: "would suspect a hit: ",
        Outcome.FAILED: "would fail: ",
        Outcome.STATE_RESET: "would start a fresh state without swapping: ",
        Outcome.OK: "nothing to do: ",
        Outcome.NO_SESSIONS: "nothing to do: ",
    }.get(plan.outcome, f"{plan.outcome}: ")
    return does + plan.summary


def _account(config: Config, state: State, name: str, problems: Mapping[str, str], now: datetime) -> AccountStatus:
    account = config.account(name)
    memory = state.account(name)
    active = name == state.active_account
    exhausted = state.exhausted(name, now)
    # The active account's credentials are live; the first step of the next swap saves them to its store.
    word = EXHAUSTED if exhausted else UNUSABLE if name in problems and not active else FREE
    return AccountStatus(
        name=name,
        active=active,
        state=word if account and account.enabled else DISABLED,
        free_at=memory.exhausted_until if exhausted else None,
        free_in=(memory.exhausted_until - now).total_seconds() if exhausted and memory.exhausted_until else None,
        reason=memory.reason if exhausted else None,
        problem=problems.get(name),
        last_hit_at=memory.last_hit_at,
        last_used_at=memory.last_used_at,
        window_resets_at=memory.window_resets_at if memory.window_resets_at and memory.window_resets_at > now else None,
        last_failure=memory.unusable,
    )


def _seen(finding: Finding, memory: SessionMemory, now: datetime) -> SessionStatus:
    since = memory.since if memory.kind is finding.kind else None
    return SessionStatus(
        name=finding.name,
        role=finding.role,
        running=True,
        kind=finding.kind,
        since=finding.first_seen if finding.first_seen and finding.blocked else since,
        account=finding.account or memory.account,
        blocked=finding.blocked,
        counted=finding.counted,
        stale=finding.stale,
        why_not=finding.why_not or None,
        busy=finding.busy,
        limit=finding.limit,
        resets_at=finding.resets_at,
        resets_in=(finding.resets_at - now).total_seconds() if finding.resets_at else None,
        rule=finding.rule or None,
        snippet=finding.snippet,
        error=finding.error,
        own_login=memory.own_login,
        held=memory.held,
    )


def _remembered(name: str, memory: SessionMemory, running: bool | None, config: Config, now: datetime) -> SessionStatus:
    hit = memory.hit
    kind = memory.kind or (hit.kind if hit else Kind.WARNING if memory.warning else None)
    shown = hit if hit and kind is hit.kind else memory.warning if kind is Kind.WARNING else None
    return SessionStatus(
        name=name,
        role=Role.DEDICATED if config.dedicated(name) else None,
        running=running,
        kind=kind,
        since=memory.since or (shown.first_seen if shown else None),
        account=memory.account,
        limit=shown.limit if shown else None,
        resets_at=shown.resets_at if shown else None,
        resets_in=(shown.resets_at - now).total_seconds() if shown and shown.resets_at else None,
        snippet=shown.snippet if shown else None,
        own_login=memory.own_login,
        held=memory.held,
    )


def _cooldown(config: Config, state: State, now: datetime) -> Cooldown | None:
    failure = None if state.last_failure and state.last_failure.untouched else state.last_failure
    attempts = [thing.at for thing in (state.last_swap, failure) if thing]
    if not attempts:
        return None
    whole = config.quota.reactivate_cooldown
    left = min(whole - (now - max(attempts)).total_seconds(), whole)
    return Cooldown(until=seconds(now + timedelta(seconds=left)), left=left) if left > 0 else None
