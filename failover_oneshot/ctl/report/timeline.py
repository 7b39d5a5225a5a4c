"""The facts of a report, from the state: accounts over time, stalled time, swaps and hits. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

from msgspec import Struct

from failover_oneshot.model import Outcome
from failover_oneshot.state.history import HistoryEntry, read
from failover_oneshot.state.model import State

MOVES: Final = (Outcome.SWAPPED, Outcome.RESUMED, Outcome.FAILED)


class Span(Struct, frozen=True, kw_only=True, order=True):
    """A span of time; ``open``: it began before the report's period, or has not ended."""

    start: datetime
    end: datetime
    open: bool = False

    @property
    def seconds(self) -> float:
        """Its length in seconds."""
        return (self.end - self.start).total_seconds()


class Hit(Struct, frozen=True, kw_only=True):
    """A limit hit; ``at``: when a check first saw it."""

    session: str
    at: datetime


class TimelineEvent(Struct, frozen=True, kw_only=True, rename={"from_": "from"}):
    """A swap, a failed attempt, or a restart on an account that is free again."""

    at: datetime
    outcome: str
    from_: str = ""
    to: str = ""
    reason: str = ""
    exhausted_until: datetime | None = None
    hits: tuple[Hit, ...] = ()
    sessions: Mapping[str, str] = {}
    rejected: Mapping[str, str] = {}


class Lane(Struct, frozen=True, kw_only=True):
    """One account over time; spans of one kind do not overlap."""

    account: str
    active: tuple[Span, ...]
    exhausted: tuple[Span, ...]


class Timeline(Struct, frozen=True, kw_only=True):
    """Everything that a report shows. Times are UTC; all spans lie within [start, end]."""

    start: datetime
    end: datetime
    known_from: datetime | None  # the oldest entry of the history
    lanes: tuple[Lane, ...]
    waits: tuple[Span, ...]  # all accounts were exhausted
    stalls: tuple[Span, ...]  # from the first hit to the swap that handled it, and the waits
    events: tuple[TimelineEvent, ...]  # newest first
    hits: tuple[Hit, ...]  # oldest first

    @property
    def stalled(self) -> float:
        """Seconds in which sessions were blocked."""
        return sum(span.seconds for span in self.stalls)

    @property
    def waited(self) -> float:
        """Seconds in which all accounts were exhausted."""
        return sum(span.seconds for span in self.waits)

    def count(self, outcome: Outcome) -> int:
        """How many events have this outcome."""
        return sum(event.outcome == outcome for event in self.events)


def timeline(state: State, accounts: Sequence[str], start: datetime, now: datetime) -> Timeline:
    """The period from ``start`` to ``now``, from the state; ``accounts``: the config's, in its order."""
    entries = [read(written) for written in state.history]
    events = sorted(filter(None, map(_event, entries)), key=lambda event: event.at)
    window = Span(start=start, end=now)
    waits = [Span(start=since, end=at) for since, at in _waits(entries)]
    if state.waiting:
        waits.append(Span(start=state.waiting.since, end=now, open=True))
    hits = {(hit.session, hit.at): hit for event in events for hit in event.hits}
    for name, memory in state.sessions.items():
        if hit := memory.hit:
            hits.setdefault((name, hit.first_seen), Hit(session=name, at=hit.first_seen))
    stalls = [Span(start=min(hit.at for hit in event.hits), end=event.at) for event in events if event.hits]
    names = dict.fromkeys([*accounts, *_named(events), *state.accounts])
    times = [event.at for event in events] + [wait.start for wait in waits]
    return Timeline(
        start=start,
        end=now,
        known_from=min(times, default=None),
        lanes=tuple(
            Lane(
                account=name,
                active=tuple(_cut(_active(name, events, state, window), window)),
                exhausted=tuple(_cut(_merged(_exhausted(name, events, state)), window)),
            )
            for name in names
        ),
        waits=tuple(_cut(_merged(waits), window)),
        stalls=tuple(_cut(_merged([*stalls, *waits]), window)),
        events=tuple(event for event in reversed(events) if start <= event.at <= now),
        hits=tuple(sorted((hit for hit in hits.values() if start <= hit.at <= now), key=lambda hit: hit.at)),
    )


def _event(entry: HistoryEntry) -> TimelineEvent | None:
    if entry.at is None or entry.outcome not in MOVES:
        return None
    return TimelineEvent(
        at=entry.at,
        outcome=entry.outcome,
        from_=entry.from_ or "",
        to=entry.to or "",
        reason=entry.reason,
        exhausted_until=entry.exhausted_until,
        hits=tuple(Hit(session=session, at=at) for session, at in entry.hits.items()),
        sessions=entry.sessions,
        rejected=entry.rejected,
    )


def _waits(entries: Iterable[HistoryEntry]) -> Iterator[tuple[datetime, datetime]]:
    for entry in entries:
        if entry.outcome == Outcome.WAITING and entry.since and entry.at and entry.since <= entry.at:
            yield entry.since, entry.at


def _named(events: Iterable[TimelineEvent]) -> Iterator[str]:
    for event in events:
        yield from filter(None, (event.from_, event.to))


def _active(name: str, events: Sequence[TimelineEvent], state: State, window: Span) -> Iterator[Span]:
    """The spans in which the account was active, from each swap to the next.

    Before the oldest swap, the account that it left was active. After the newest, the state says which one: the
    operator may have logged in by hand.
    """
    swaps = [event for event in events if event.outcome == Outcome.SWAPPED and event.to]
    if not swaps:
        if name == state.active_account:
            yield Span(start=window.start, end=window.end, open=True)
        return
    if swaps[0].from_ == name:
        yield Span(start=min(window.start, swaps[0].at), end=swaps[0].at, open=True)
    for swap, following in pairwise(swaps):
        if swap.to == name:
            yield Span(start=swap.at, end=following.at)
    if (state.active_account or swaps[-1].to) == name:
        yield Span(start=swaps[-1].at, end=max(window.end, swaps[-1].at), open=True)


def _exhausted(name: str, events: Sequence[TimelineEvent], state: State) -> Iterator[Span]:
    """The spans from an account's first hit, or the swap that left it, to its reset."""
    for event in events:
        if event.from_ == name and event.exhausted_until:
            start = min([event.at, *(hit.at for hit in event.hits)])
            if start < event.exhausted_until:
                yield Span(start=start, end=event.exhausted_until)
    memory = state.account(name)
    if memory.exhausted_until and memory.last_hit_at and memory.last_hit_at < memory.exhausted_until:
        yield Span(start=memory.last_hit_at, end=memory.exhausted_until)


def _merged(spans: Iterable[Span]) -> list[Span]:
    """The spans in order, with overlapping ones joined."""
    found: list[Span] = []
    for span in sorted(spans):
        if found and span.start <= found[-1].end:
            last = found[-1]
            found[-1] = Span(start=last.start, end=max(last.end, span.end), open=last.open or span.open)
        else:
            found.append(span)
    return found


def _cut(spans: Iterable[Span], window: Span) -> Iterator[Span]:
    """The parts of the spans within the window."""
    for span in spans:
        start, end = max(span.start, window.start), min(span.end, window.end)
        if start < end:
            yield Span(start=start, end=end, open=span.open or (start, end) != (span.start, span.end))


def ticks(start: datetime, end: datetime, most: int = 8) -> list[datetime]:
    """The marks of a time axis: round instants in [start, end], evenly spaced, about ``most`` of them."""
    steps = [timedelta(hours=h) for h in (1, 2, 3, 6, 12, 24, 48, 96, 168, 336, 720, 1440, 2160, 4320, 8760)]
    step = next((s for s in steps if (end - start) / s <= most), (end - start) / most)
    epoch = start.replace(hour=0, minute=0, second=0, microsecond=0)
    first = epoch + step * -(-(start - epoch) // step)
    count = int((end - first) / step) + 1 if first <= end else 0
    return [first + step * number for number in range(count)]
