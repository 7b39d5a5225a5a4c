"""What is remembered between checks, and how it changes: values and pure transitions (docs/behavior.md, "State").

Every time is UTC. `store.py` reads and writes it; nothing here touches the world.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any

from msgspec import Meta, Struct
from msgspec.structs import replace

from failover_oneshot.model import Finding, Kind, Limit, Outcome, PoolTally, Restart, TaskTally

VERSION = 1

Utc = Annotated[datetime, Meta(tz=True)]


class LastSwap(Struct, frozen=True, kw_only=True, rename={"from_": "from"}):
    """The newest swap that was completed."""

    at: Utc
    from_: str | None
    to: str
    reason: str = ""


class Trouble(Struct, frozen=True, kw_only=True):
    """Something that went wrong, and when."""

    at: Utc
    reason: str


class AccountMemory(Struct, frozen=True, kw_only=True):
    """What is known of one account."""

    exhausted_until: Utc | None = None
    last_hit_at: Utc | None = None
    reason: str | None = None
    last_used_at: Utc | None = None  # when it was swapped away from
    window_resets_at: Utc | None = None  # the end of its running window, as a warning of the client told it
    unusable: Trouble | None = None  # the last attempt to swap to it that failed


class HitMemory(Struct, frozen=True, kw_only=True):
    """A hit as it was when it was first seen. Its reset is resolved once, then never again."""

    first_seen: Utc
    pattern: str | None = None
    snippet: str | None = None
    resets_at: Utc | None = None
    acted_on: bool = False
    kind: Kind = Kind.QUOTA
    limit: Limit | None = None
    account: str | None = None
    reset_text: str | None = None
    identity: str = ""


class WarningMemory(Struct, frozen=True, kw_only=True):
    """A notice of the client that a limit is near."""

    first_seen: Utc
    snippet: str | None = None
    limit: Limit | None = None
    resets_at: Utc | None = None


class SessionMemory(Struct, frozen=True, kw_only=True):
    """What is known of one session: the account that it runs on and the last hit that it showed."""

    account: str | None = None
    own_login: str | None = None  # the variable that holds a login of its own, which no swap of files reaches
    kind: Kind | None = None  # what it showed at the last look, and since when it does
    since: Utc | None = None
    hit: HitMemory | None = None
    warning: WarningMemory | None = None
    starts: tuple[Utc, ...] = ()  # when the lifecycle started it, as long as it did not live on after that
    held: Trouble | None = None  # a text did not arrive there, or its server failed: no task for a while


class Waiting(Struct, frozen=True, kw_only=True):
    """Every account is exhausted: which one frees first, and when (None: not known)."""

    since: Utc
    account: str | None = None
    until: Utc | None = None
    checks: int = 1


class Pause(Struct, frozen=True, kw_only=True):
    """The operator's order to keep still; ``until`` None: until `failoverctl resume`."""

    since: Utc
    until: Utc | None = None
    reason: str | None = None


class LastCheck(Struct, frozen=True, kw_only=True):
    at: Utc
    outcome: Outcome
    blocked_pool: int = 0
    blocked_dedicated: int = 0
    duration_ms: int = 0
    pool: PoolTally | None = None  # None: not looked at
    tasks: TaskTally | None = None  # None: there is no spool


class Notice(Struct, frozen=True, kw_only=True):
    """A message for people, kept until it is delivered: sent when ``next_at`` has come (docs/monitoring.md)."""

    at: Utc
    event: str
    text: str
    tries: int = 0
    next_at: Utc
    left: tuple[int, ...] | None = None  # which of the targets still lack it, by their number; None: all of them


class Rejected(Struct, frozen=True, kw_only=True):
    """A candidate that could not be swapped to in this attempt."""

    account: str
    reason: str


class Step(StrEnum):
    """The steps of a swap, in their order."""

    SAVE_BACK = "save_back"
    INSTALL = "install"
    VERIFY = "verify"
    RESTART = "restart"
    RECORD = "record"


class Journal(Struct, frozen=True, kw_only=True, rename={"from_": "from"}):
    """A swap under way: written before each step begins, so that the next run can finish it (docs/swap.md).

    ``kind`` is "swap", "failback" for one in peace (no session is blocked), or "resume" for a restart on the account
    that is active already.
    """

    started_at: Utc
    kind: str = "swap"
    from_: str | None
    to: str | None
    step: Step
    reason: str = ""
    candidates: tuple[str, ...] = ()  # not tried yet, in order
    rejected: tuple[Rejected, ...] = ()
    prepared: dict[str, str] = {}  # the method's own notes for repeating or undoing its steps; never a secret
    acted_on: tuple[str, ...] = ()  # the sessions whose present hits this swap answers
    restarts: tuple[Restart, ...] = ()
    runs: int = 1  # how many runs have worked on it


class State(Struct, frozen=True, kw_only=True):
    """The whole state file. Unknown keys are kept by the store, not here."""

    version: int = VERSION
    active_account: str | None = None
    last_swap: LastSwap | None = None
    suspected_hit_at: Utc | None = None
    accounts: dict[str, AccountMemory] = {}
    sessions: dict[str, SessionMemory] = {}
    swap_in_progress: Journal | None = None
    lineage: dict[str, str] = {}  # salted fingerprints of logins that were seen live, to account names
    waiting: Waiting | None = None
    paused: Pause | None = None
    last_failure: Trouble | None = None
    last_check: LastCheck | None = None
    told: dict[str, str] = {}  # situations that people know of, until they end, with what tells one from the next
    outbox: tuple[Notice, ...] = ()
    counters: dict[str, int] = {}  # how many entries of each outcome the history was ever given
    history: tuple[dict[str, Any], ...] = ()

    def account(self, name: str | None) -> AccountMemory:
        """What is known of that account; blank when nothing is."""
        return self.accounts.get(name or "", AccountMemory())

    def exhausted(self, name: str | None, now: datetime) -> bool:
        """Whether that account is known to be exhausted at that instant."""
        until = self.account(name).exhausted_until
        return until is not None and until > now

    def swaps_since(self, start: datetime, now: datetime) -> list[datetime]:
        """The instants of the completed swaps after ``start``, oldest first."""
        found = []
        for entry in self.history:
            if entry.get("outcome") != Outcome.SWAPPED:
                continue
            try:
                at = datetime.fromisoformat(str(entry.get("at")))
                if start < at <= now:
                    found.append(at)
            except (TypeError, ValueError):  # written by somebody else: not counted
                continue
        if self.last_swap and start < self.last_swap.at <= now and self.last_swap.at not in found:
            found.append(self.last_swap.at)  # a history that was cut short must not switch the breaker off
        return sorted(found)


def settle(state: State, now: datetime) -> tuple[State, list[str]]:
    """The state with times that lie in the future drawn back to now, and a sentence for each that was.

    The clock may have been put back. A swap "in the future" would otherwise hold the cooldown for as long as the jump.
    """
    notes = []
    slack = now + timedelta(seconds=2)  # stored times are rounded
    if state.last_swap and state.last_swap.at > slack:
        notes.append(f"the clock went back: the last swap at {stamp(state.last_swap.at)} counts as made now")
        state = replace(state, last_swap=replace(state.last_swap, at=seconds(now)))
    if state.last_failure and state.last_failure.at > slack:
        state = replace(state, last_failure=replace(state.last_failure, at=seconds(now)))
    if state.suspected_hit_at and state.suspected_hit_at > slack:
        notes.append("the clock went back: the suspected hit is forgotten")
        state = replace(state, suspected_hit_at=None)
    return state, notes


def remember(state: State, findings: Sequence[Finding], switches_at_message: bool, now: datetime) -> State:
    """The state with what the sessions show now.

    ``switches_at_message``: a running client changes over to the new account at its next message (the methods that
    replace files), so that from the end of the cooldown on each session counts as on the active one
    (docs/behavior.md, "What counts").
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
    # A blank or unreadable pane proves nothing: after a restart the old text may be drawn again.
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
    """The state in which the present hits of these sessions never count again (law L3)."""
    sessions = dict(state.sessions)
    for name in names:
        memory = sessions.get(name)
        if memory and memory.hit:
            sessions[name] = replace(memory, hit=replace(memory.hit, acted_on=True))
    return replace(state, sessions=sessions)


def mark_exhausted(state: State, until: datetime, reason: str | None, now: datetime) -> State:
    """The state in which the active account counts as exhausted until then."""
    name = state.active_account
    if name is None:
        return state
    reason = reason or state.account(name).reason
    return with_account(state, name, exhausted_until=until, last_hit_at=seconds(now), reason=reason)


def with_account(state: State, name: str, **changes: Any) -> State:
    """The state with these fields of one account's memory replaced."""
    return replace(state, accounts={**state.accounts, name: replace(state.account(name), **changes)})


def with_history(state: State, entry: Mapping[str, Any], keep: int) -> State:
    """The state with one more entry of history, of which the newest ``keep`` stay; it is counted for good."""
    outcome = str(entry.get("outcome"))
    counters = {**state.counters, outcome: state.counters.get(outcome, 0) + 1}
    return replace(state, history=(*state.history, dict(entry))[-keep:], counters=counters)


def seconds(at: datetime) -> datetime:
    """That instant without its fraction of a second: the state is read by people."""
    return at.replace(microsecond=0)


def stamp(at: datetime) -> str:
    """ISO 8601 in UTC with Z, whole seconds."""
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"
