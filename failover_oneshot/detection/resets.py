"""Turns a printed reset time into an instant. Pure: reads no clock and no environment.

This module holds the rules of docs/detection.md, "Reset times"; `reset_grammar` parses the text, `timezones` knows the
zones. Resolve a text once, when its hit is first seen: a bare clock time means another instant the next day.
"""

from datetime import UTC, datetime, time, timedelta, tzinfo

from msgspec import Struct

from failover_oneshot.detection import reset_grammar, timezones
from failover_oneshot.detection.reset_grammar import Clause, When
from failover_oneshot.model import Limit

FIVE_HOURS_AHEAD = timedelta(hours=5, minutes=15)
JUST_RESET = timedelta(minutes=60)
DATE_PASSED = timedelta(days=1)
_A_WEEK_AHEAD = timedelta(days=8)
_TOO_FAR = timedelta(days=3660)
_WEEKLY = frozenset({Limit.SEVEN_DAY, Limit.SEVEN_DAY_OPUS, Limit.SEVEN_DAY_SONNET})


class Reset(Struct, frozen=True):
    """An instant in UTC. ``exact`` is false if the text leaves it open: unknown zone, no clock time, "about"."""

    at: datetime
    exact: bool = True


def extract_all(message: str) -> tuple[str, ...]:
    """The reset clauses of a whole message, as printed, with white space collapsed. Wrapped lines are fine.

    The words before a clause ("resets", "at", "by", "on") are left out: "12:20pm (UTC)", "in: 3 hours", "1760000400".
    """
    return tuple(clause.text for clause in reset_grammar.find(message))


def extract(message: str) -> str | None:
    """The reset clause of a message, or None. Several are joined by "; "; `resolve` picks the one that blocks."""
    return "; ".join(extract_all(message)) or None


def resolve(text: str, seen_at: datetime, zone: str | tzinfo, limit: Limit | None = None) -> Reset | None:
    """The instant of a reset text (see `extract`), first seen at ``seen_at`` (aware), or None. Never raises.

    ``zone`` is the machine's, used if the text names no known zone. Of several clauses the latest one blocks. If the
    result is at or before ``seen_at``, the hit is expired.
    """
    return _latest(reset_grammar.parse(text), seen_at, zone, limit)


def resolve_message(message: str, seen_at: datetime, zone: str | tzinfo, limit: Limit | None = None) -> Reset | None:
    """`resolve` for a whole message."""
    return _latest(reset_grammar.find(message), seen_at, zone, limit)


def _latest(found: tuple[Clause, ...], seen_at: datetime, machine: str | tzinfo, limit: Limit | None) -> Reset | None:
    machine_zone = timezones.lookup(machine) if isinstance(machine, str) else machine
    # all times of a message are in one zone, which is named only once
    named = next((clause.zone for clause in found if clause.zone), None)
    resets = []
    for clause in found:
        zone = timezones.lookup(name) if (name := clause.zone or named) else machine_zone
        try:
            at = _instant(clause.when, seen_at.astimezone(UTC), zone or machine_zone or UTC, limit)
        except (OverflowError, ValueError):
            continue  # outside the range of a datetime
        if at - seen_at < _TOO_FAR:
            resets.append(Reset(at, _is_exact(clause, zone, at - seen_at, limit)))
    return max(resets, key=lambda reset: reset.at, default=None)


def _is_exact(clause: Clause, zone: tzinfo | None, ahead: timedelta, limit: Limit | None) -> bool:
    when = clause.when
    if when.seconds is not None or when.epoch is not None:
        return not clause.rough
    # a weekly limit's date without a year, more than a week ahead, has more likely just passed
    doubtful = limit in _WEEKLY and when.month is not None and when.year is None and ahead > _A_WEEK_AHEAD
    return zone is not None and when.clock is not None and not clause.rough and not doubtful


def _instant(when: When, seen: datetime, zone: tzinfo, limit: Limit | None) -> datetime:
    if when.seconds is not None:
        return seen + timedelta(seconds=when.seconds)
    if when.epoch is not None:
        return datetime.fromtimestamp(when.epoch, UTC)
    today = datetime.combine(seen.astimezone(zone).date(), time())
    if when.month is not None and when.day is not None:
        years = range(today.year - 1, today.year + 2) if when.year is None else (when.year,)
        days = [_day(year, when.month, when.day, when.clock) for year in years]
        grace = DATE_PASSED
    elif when.days_ahead is not None:
        days = [(today + timedelta(days=when.days_ahead - before), when.clock) for before in (1, 0)]
        if limit is not Limit.FIVE_HOUR:
            days = days[1:]
        grace = DATE_PASSED
    else:
        around = (today + timedelta(days=ahead) for ahead in range(-8, 9))
        days = [(day, when.clock) for day in around if when.weekday in {None, day.weekday()}]
        grace = JUST_RESET
    candidates = [_on_day(day, clock, seen, zone) for day, clock in days]
    if len(candidates) == 1:
        return candidates[0]
    if limit is Limit.FIVE_HOUR:  # in an ambiguous hour only the earlier instant may be near enough
        candidates += [_on_day(day, clock, seen, zone, fold=0) for day, clock in days]
        return max((at for at in candidates if at <= seen + FIVE_HOURS_AHEAD), default=min(candidates))
    return min((at for at in candidates if at >= seen - grace), default=candidates[-1])


def _day(year: int, month: int, day: int, clock: int | None) -> tuple[datetime, int | None]:
    """Midnight of the day, and the clock time. A day that does not exist becomes the start of the next one."""
    try:
        return datetime(year, month, day), clock
    except ValueError:
        return datetime(year, month + 1, 1), 0 if clock is not None else None


def _on_day(day: datetime, clock: int | None, seen: datetime, zone: tzinfo, fold: int = 1) -> datetime:
    """The instant on that day. Without a clock time: the start of the day or, if that has passed, its end."""
    if clock is not None:
        return _from_wall(day + timedelta(seconds=clock), zone, fold)
    start = _from_wall(day, zone, fold)
    return start if start > seen else _from_wall(day + timedelta(days=1), zone, fold)


def _from_wall(wall: datetime, zone: tzinfo, fold: int) -> datetime:
    """The UTC instant of a local time. ``fold`` picks one of two; a skipped time becomes the next that exists."""
    at = wall.replace(tzinfo=zone, fold=fold).astimezone(UTC)
    if at.astimezone(zone).replace(tzinfo=None) == wall:
        return at.replace(fold=0)
    # the time is skipped by a clock change between the two folds; bisection finds it in at most 17 steps
    early = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)
    late = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    before = early.astimezone(zone).utcoffset()
    while late - early > timedelta(seconds=1):
        middle = (early + (late - early) / 2).replace(microsecond=0)
        if middle.astimezone(zone).utcoffset() == before:
            early = middle
        else:
            late = middle
    return late
