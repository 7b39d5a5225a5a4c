"""Decides which notices to send and when: one per situation, however long it lasts. Pure; `apprise.py` sends them.

A notice is in the state before it is sent and leaves it once it is delivered. A run that is killed in between sends it
twice rather than never. The time of the next attempt is stored before each attempt, so that two runs never send the
same notice at once, and a target that is down is not tried at every check.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from msgspec.structs import replace

from failover_oneshot.config.model import Notify
from failover_oneshot.decision.wording import names
from failover_oneshot.lib.redact import redact
from failover_oneshot.model import Kind, Outcome
from failover_oneshot.report import Report, summary_line
from failover_oneshot.state.model import Notice, State, seconds, stamp

MAX_TRIES = 8  # with pauses of 1, 2, 4 … 64 minutes: the last one comes after about two hours
KEPT = 20
LONGEST_TEXT = 1500

Key = tuple[datetime, str]
"""Identifies a notice: its time and its event."""

_ONCE = {Outcome.SWAPPED: "swapped", Outcome.RESUMED: "resumed"}
_FAILURES = (Outcome.FAILED, Outcome.STATE_RESET)
_RECOVERED = (Outcome.OK, Outcome.NO_SESSIONS, Outcome.SWAPPED, Outcome.RESUMED, Outcome.WAITING)


def note(notify: Notify, state: State, report: Report) -> tuple[State, tuple[Notice, ...]]:
    """The state with this check's new notices, and the notices to send now, oldest first.

    ``state`` is as the check left it. The returned state already counts the attempts that are about to be made.
    """
    now = report.at
    told = {situation: about for situation, about in state.told.items() if not _over(situation, state, report)}
    outbox = [notice for notice in state.outbox if notice.tries < MAX_TRIES]
    for situation, event, about, text in _happened(state, report):
        if about and told.get(situation) == about:
            continue
        if about:
            told[situation] = about
        if event in notify.events and not _already_reported(situation, outbox, now):
            body = redact(text)[:LONGEST_TEXT]
            outbox.append(Notice(at=now, event=event, text=body, next_at=now))
    outbox = outbox[-KEPT:]
    due: list[Notice] = []
    for number, notice in enumerate(outbox):
        # A time further ahead than any pause means that the clock has been set back since.
        if now < notice.next_at <= now + _pause(MAX_TRIES):
            continue
        due.append(replace(notice, tries=notice.tries + 1, next_at=seconds(now + _pause(notice.tries + 1))))
        outbox[number] = due[-1]
    return replace(state, told=told, outbox=tuple(outbox)), tuple(due)


def delivered(state: State, left: Mapping[Key, Sequence[int]]) -> State:
    """The state after the attempts. ``left``: for each notice tried, the targets that still lack it; empty: done."""
    outbox = []
    for notice in state.outbox:
        missing = left.get(key(notice))
        if missing is None:
            outbox.append(notice)
        elif missing:
            outbox.append(replace(notice, left=tuple(missing)))
    return replace(state, outbox=tuple(outbox))


def key(notice: Notice) -> Key:
    """The `Key` of a notice."""
    return notice.at, notice.event


def _pause(tries: int) -> timedelta:
    return timedelta(minutes=2 ** (tries - 1))


def _already_reported(situation: str, outbox: Sequence[Notice], now: datetime) -> bool:
    """Whether this check's `failed` notice already names the account's problem: one message is enough."""
    return situation.startswith("account:") and any(n.event == "failed" and n.at == now for n in outbox)


def _happened(state: State, report: Report) -> Iterator[tuple[str, str, str, str]]:
    """The situations of this check: name, event, what identifies this occurrence ("" if it does not last), text."""
    sentence = f"{summary_line(report)} ({stamp(report.at)})"
    if report.outcome in _ONCE:
        yield "", _ONCE[report.outcome], "", sentence
    if report.outcome is Outcome.WAITING and state.waiting is not None:
        yield "waiting", "waiting", stamp(state.waiting.since), sentence
    if report.outcome in _FAILURES:
        text = f"{sentence}. Run `failoverctl doctor`."
        yield "failed", "failed", state.told.get("failed") or stamp(report.at), text
    asking = [f for f in report.findings if f.kind is Kind.AUTH and not f.busy and not f.stale]
    if asking:
        account = report.active_account
        shown = asking[0].snippet or asking[0].pattern or "a login prompt"
        whose = f"{account}'s" if account else "the live"
        text = (
            f"{whose} credentials were rejected: “{shown}” in {names(asking)} ({stamp(report.at)}). "
            f"Log in again, then run `failoverctl accounts add {account or 'NAME'}`."
        )
        yield "auth", "auth", account or "unknown", text
    for name, memory in state.accounts.items():
        if memory.unusable is not None:
            text = (
                f"cannot swap to {name}: {memory.unusable.reason} ({stamp(report.at)}). "
                "Run `failoverctl accounts check`."
            )
            yield f"account:{name}", "auth", state.told.get(f"account:{name}") or stamp(memory.unusable.at), text


def _over(situation: str, state: State, report: Report) -> bool:
    """Whether a situation has ended. One that this check did not observe goes on."""
    if situation == "waiting":
        return state.waiting is None
    if situation == "failed":
        return report.outcome in _RECOVERED
    if situation == "auth":
        found = {f.kind for f in report.findings}
        return bool(found) and not found & {Kind.AUTH, Kind.UNREADABLE}
    return state.account(situation.removeprefix("account:")).unusable is None
