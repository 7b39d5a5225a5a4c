"""What people are told, and when: each situation once, however long it lasts. Pure; `apprise.py` sends it.

A notice is part of the state before it is sent and leaves it when it was delivered: a run that is killed in between
sends it again rather than never. The next attempt is put off before each attempt, so that two runs never send the same
one at a time, and a target that is down is not tried with every check.
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

MAX_TRIES = 8  # the pauses between them are 1, 2, 4 … 64 minutes: the last is made after two hours
KEPT = 20
LONGEST_TEXT = 1500

Key = tuple[datetime, str]
"""What tells one notice from the others: when, and of what."""

_ONCE = {Outcome.SWAPPED: "swapped", Outcome.RESUMED: "resumed"}
_FAILURES = (Outcome.FAILED, Outcome.STATE_RESET)
_RECOVERED = (Outcome.OK, Outcome.NO_SESSIONS, Outcome.SWAPPED, Outcome.RESUMED, Outcome.WAITING)


def note(notify: Notify, state: State, report: Report) -> tuple[State, tuple[Notice, ...]]:
    """The state with what this check gives to tell, and the notices that are to be sent now, the oldest first.

    ``state``: as it is after the check. The returned one already counts the attempts that are about to be made.
    """
    now = report.at
    told = {situation: about for situation, about in state.told.items() if not _over(situation, state, report)}
    outbox = [notice for notice in state.outbox if notice.tries < MAX_TRIES]
    for situation, event, about, text in _happened(state, report):
        if about and told.get(situation) == about:
            continue
        if about:
            told[situation] = about
        if event in notify.events and not _said_already(situation, outbox, now):
            body = redact(text)[:LONGEST_TEXT]
            outbox.append(Notice(at=now, event=event, text=body, next_at=now))
    outbox = outbox[-KEPT:]
    due: list[Notice] = []
    for number, notice in enumerate(outbox):
        # A time further off than any that we set was set by a clock that has been put back since.
        if now < notice.next_at <= now + _pause(MAX_TRIES):
            continue
        due.append(replace(notice, tries=notice.tries + 1, next_at=seconds(now + _pause(notice.tries + 1))))
        outbox[number] = due[-1]
    return replace(state, told=told, outbox=tuple(outbox)), tuple(due)


def delivered(state: State, left: Mapping[Key, Sequence[int]]) -> State:
    """The state after the attempts. ``left``: the targets that lack each notice that was tried; none: it is done."""
    outbox = []
    for notice in state.outbox:
        missing = left.get(key(notice))
        if missing is None:
            outbox.append(notice)
        elif missing:
            outbox.append(replace(notice, left=tuple(missing)))
    return replace(state, outbox=tuple(outbox))


def key(notice: Notice) -> Key:
    """See `Key`."""
    return notice.at, notice.event


def _pause(tries: int) -> timedelta:
    return timedelta(minutes=2 ** (tries - 1))


def _said_already(situation: str, outbox: Sequence[Notice], now: datetime) -> bool:
    """Whether the notice of a failure names the account's trouble already: one message is enough."""
    return situation.startswith("account:") and any(n.event == "failed" and n.at == now for n in outbox)


def _happened(state: State, report: Report) -> Iterator[tuple[str, str, str, str]]:
    """What is so now: situation, event, what tells it from the next of its kind ("": it does not last), and text."""
    sentence = f"{summary_line(report)} ({stamp(report.at)})"
    if report.outcome in _ONCE:
        yield "", _ONCE[report.outcome], "", sentence
    if report.outcome is Outcome.WAITING and state.waiting is not None:
        yield "waiting", "waiting", stamp(state.waiting.since), sentence
    if report.outcome in _FAILURES:
        yield "failed", "failed", state.told.get("failed") or stamp(report.at), sentence
    asking = [f for f in report.findings if f.kind is Kind.AUTH and not f.busy and not f.stale]
    if asking:
        account = report.active_account or "unknown"
        shown = asking[0].snippet or asking[0].pattern or "a login prompt"
        text = f"auth: account {account} has to log in again; {names(asking)}: “{shown}” ({stamp(report.at)})"
        yield "auth", "auth", account, text
    for name, memory in state.accounts.items():
        if memory.unusable is not None:
            text = f"auth: account {name} could not be swapped to: {memory.unusable.reason} ({stamp(report.at)})"
            yield f"account:{name}", "auth", state.told.get(f"account:{name}") or stamp(memory.unusable.at), text


def _over(situation: str, state: State, report: Report) -> bool:
    """Whether a situation has ended; what this check did not look at goes on."""
    if situation == "waiting":
        return state.waiting is None
    if situation == "failed":
        return report.outcome in _RECOVERED
    if situation == "auth":
        found = {f.kind for f in report.findings}
        return bool(found) and not found & {Kind.AUTH, Kind.UNREADABLE}
    return state.account(situation.removeprefix("account:")).unusable is None
