"""Reset times: from what a client prints to an absolute instant. Pure: no clock, no environment.

`reset_grammar` knows the grammar, `timezones` the zone names; here are the rules of docs/detection.md, "Reset times". A
text is to be resolved once, when its hit is first seen: a bare clock time means another instant the next day.
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
    """An instant in UTC; not `exact` when the text left something open: an unknown zone, no clock time, "about"."""

    at: datetime
    exact: bool = True


def extract_all(message: str) -> tuple[str, ...]:
    """The reset clauses of a whole message (lines rejoined or not), as printed but for collapsed white space.

    Without "resets", "at", "by", "on" before them: "12:20pm (UTC)", "in: 3 hours", "1760000400".
    """
    return tuple(clause.text for clause in reset_grammar.find(message))


def extract(message: str) -> str | None:
    """The message's reset clause, or None. Several clauses are joined by "; ": `resolve` gives the one that blocks."""
    return "; ".join(extract_all(message)) or None


def resolve(text: str, seen_at: datetime, zone: str | tzinfo, limit: Limit | None = None) -> Reset | None:
    """The instant of a reset text (see `extract`), first seen at `seen_at` (aware), or None; never raises.

    `zone` is the machine's, for a text that names none or an unknown one. Of several clauses the latest: it blocks.
    A `Reset` at or before `seen_at` has passed: the hit is stale.
    """
    return _latest(reset_grammar.parse(text), seen_at, zone, limit)


def resolve_message(message: str, seen_at: datetime, zone: str | tzinfo, limit: Limit | None = None) -> Reset | None:
    """`resolve` for a whole message."""
    return _latest(reset_grammar.find(message), seen_at, zone, limit)


def _latest(found: tuple[Clause, ...], seen_at: datetime, machine: str | tzinfo, limit: Limit | None) -> Reset | None:
    machine_zone = timezones.lookup(machine) if isinstance(machine, str) else machine
    # one client prints all times of a message in one zone, but names it only once
    named = next((clause.zone for clause in found if clause.zone), None)
    resets = []
    for clause in found:
        zone = timezones.lookup(name) if (name := clause.zone or named) else machine_zone
        try:
            at = _instant(clause.when, seen_at.astimezone(UTC), zone or machine_zone or UTC, limit)
        except (OverflowError, ValueError):
            continue  # beyond the years that a datetime holds
        if at - seen_at < _TOO_FAR:
            resets.append(Reset(at, _is_exact(clause, zone, at - seen_at, limit)))
    return max(resets, key=lambda reset: reset.at, default=None)


def _is_exact(clause: Clause, zone: tzinfo | None, ahead: timedelta, limit: Limit | None) -> bool:
    when = clause.when
    if when.seconds is not None or when.epoch is not None:
        return not clause.rough
    # a weekly limit's date without a year, further ahead than a week: more likely last week's
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
    if limit is Limit.FIVE_HOUR:  # of an ambiguous hour the earlier one, where only that is near enough
        candidates += [_on_day(day, clock, seen, zone, fold=0) for day, clock in days]
        return max((at for at in candidates if at <= seen + FIVE_HOURS_AHEAD), default=min(candidates))
    return min((at for at in candidates if at >= seen - grace), default=candidates[-1])


def _day(year: int, month: int, day: int, clock: int | None) -> tuple[datetime, int | None]:
    """Midnight of that day and the clock time; a day that does not exist is the start of the next one that does."""
    try:
        return datetime(year, month, day), clock
    except ValueError:
        return datetime(year, month + 1, 1), 0 if clock is not None else None


def _on_day(day: datetime, clock: int | None, seen: datetime, zone: tzinfo, fold: int = 1) -> datetime:
    """A day without a clock time is its start, or, once that has passed, its end: some time on it is meant."""
    if clock is not None:
        return _from_wall(day + timedelta(seconds=clock), zone, fold)
    start = _from_wall(day, zone, fold)
    return start if start > seen else _from_wall(day + timedelta(days=1), zone, fold)


def _from_wall(wall: datetime, zone: tzinfo, fold: int) -> datetime:
    """The UTC instant of a local time: of two the one that `fold` says, of none the next that exists."""
    at = wall.replace(tzinfo=zone, fold=fold).astimezone(UTC)
    if at.astimezone(zone).replace(tzinfo=None) == wall:
        return at.replace(fold=0)
    # a clock change skips it, and lies between what the two folds make of it: found by halving, in at most 17 steps
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
