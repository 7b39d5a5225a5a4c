"""Parses the reset clauses of a message. `resets.py` turns them into instants. Pure.

docs/detection.md, "Reset times", lists the forms. Every pattern is anchored and has no nested repetition, and clauses
do not overlap, so the running time is linear in the length of the text.
"""

import re
from itertools import islice

from msgspec import Struct, structs

from failover_oneshot.detection import timezones


class When(Struct):
    """What a clause says about the time. None: not said."""

    seconds: float | None = None  # counted from when the hit is first seen
    epoch: int | None = None  # seconds
    year: int | None = None
    month: int | None = None
    day: int | None = None
    weekday: int | None = None  # Monday is 0
    days_ahead: int | None = None  # today is 0, tomorrow 1
    clock: int | None = None  # seconds after midnight, up to 24 h


class Clause(Struct, frozen=True, kw_only=True):
    """One reset clause."""

    text: str  # as printed, white space collapsed, without the words before it ("resets at", "by", "on")
    when: When
    zone: str | None  # as printed, even if unknown
    rough: bool  # the text says "about", or is cut off


_MONTHS = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_DAY_WORDS = {"today": 0, "tonight": 0, "tomorrow": 1}
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}

# More than any agent prints: the characters of a message that are read, and the clauses that are kept.
_LONGEST = 4000
_MOST_CLAUSES = 16

_FLAGS = re.IGNORECASE | re.ASCII

# The words before a reset time. `|` is for old versions of Claude Code: "usage limit reached|1760000400".
_ANCHOR = re.compile(
    r"(?<![a-z])(?:resets?|resetting|again|automatically|access|available|until|renews|refreshes)(?![a-z])|\|(?=\d{10})",
    _FLAGS,
)
_LEAD = re.compile(r"(?:[ :]|(?:at|by|on|after|time|date|is)(?![a-z]))*", _FLAGS)
_IN = re.compile(r"(?:in|within)(?![a-z]):? ?", _FLAGS)
_GLUE = re.compile(r"(?:[ ,]|(?:at|on|by|the|and|next|this)(?![a-z]))*", _FLAGS)
_ROUGHLY = re.compile(
    r"(?:[ ~≈]|(?:about|around|approximately|approx\.?|roughly|less than|under|another|the next)(?![a-z]))*", _FLAGS
)
_AMOUNT = re.compile(
    r"(\d{1,6}(?:\.\d{1,3})?|an?|one)(?: |(?<=\d))"
    r"(s(?:ec(?:ond)?s?)?|m(?:in(?:ute)?s?)?|h(?:(?:ou)?rs?)?|d(?:ays?)?|w(?:eeks?|ks?)?)(?![a-z])",
    _FLAGS,
)
_EPOCH = re.compile(r"([1-9]\d{9})(?:\d{3})?(?!\d)", _FLAGS)  # in seconds or milliseconds
_ISO_DATE = re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2})(?!\d)(?:T(?=\d))?", _FLAGS)
_YEAR = r"(?:,? (\d{4})(?![\d:]))?"
_MONTH_DAY = re.compile(r"([a-z]{3,9})\.? (\d{1,2})(?:st|nd|rd|th)?(?![\d:a-z])" + _YEAR, _FLAGS)
_DAY_MONTH = re.compile(r"(\d{1,2})(?:st|nd|rd|th)?(?: of)? ([a-z]{3,9})(?![a-z])\.?" + _YEAR, _FLAGS)
_CLOCK = re.compile(
    r"(\d{1,2})(?:[:.](\d{2})(?::(\d{2})(?:\.\d{1,9})?)?)?"
    r"(?: ?(am|pm|a\.m\b\.?|p\.m\b\.?|noon|midnight))?(?![\da-y])",
    _FLAGS,
)
_WORD = re.compile(r"([a-z]{3,9})(?![a-z])(?:\.(?=,? \d))?", _FLAGS)
_ZONE_IN_PARENTHESES = re.compile(r" ?\(([^()]{1,64})(\)|$)?")
_ZONE_BARE = re.compile(r" ?((?:[a-z]+(?:[/_-][a-z]+)*)?(?:[+-]\d{1,2}(?::?\d{2})?)?)(?![a-z\d])", _FLAGS)


def find(message: str) -> tuple[Clause, ...]:
    """All reset clauses of a message, in order. Of two with the same time, only the one that names a zone is kept."""
    text = " ".join(message.split())[:_LONGEST]
    found: dict[tuple[object, str | None], Clause] = {}
    position = 0
    while len(found) < _MOST_CLAUSES and (anchor := _ANCHOR.search(text, position)):
        position = anchor.end()
        start = _end(_LEAD, text, position)
        if clause := _read(text, start):
            position = start + len(clause.text)
            found.setdefault((structs.astuple(clause.when), clause.zone), clause)
    zoned = {when for when, zone in found if zone}
    return tuple(clause for (when, zone), clause in found.items() if zone or when not in zoned)


def parse(text: str) -> tuple[Clause, ...]:
    """The clauses of a text: one clause, several joined by `; `, or a whole message."""
    parts = " ".join(text.split())[:_LONGEST].split("; ")
    read = (_read(part, _end(_LEAD, part, 0)) for part in parts)
    return tuple(islice(filter(None, read), _MOST_CLAUSES)) or find(text)


def _end(pattern: re.Pattern[str], text: str, position: int) -> int:
    match = pattern.match(text, position)
    return match.end() if match else position


def _read(text: str, start: int) -> Clause | None:
    """The clause that begins exactly at ``start``, or None."""
    when = When()
    word_in = _IN.match(text, start)
    begin = word_in.end() if word_in else start
    position = _end(_ROUGHLY, text, begin)
    rough = bool(text[begin:position].strip())
    end = _duration(text, position, when)
    if end is None and word_in is None:
        end = _items(text, position, when)
    if end is None:
        return None
    zone, end, cut = _zone(text, end)
    if zone and when.seconds is None:  # the day may follow the zone: "9:15 UTC tomorrow"
        end = _items(text, end, when) or end
    return Clause(text=text[start:end], when=when, zone=zone, rough=rough or cut)


def _duration(text: str, position: int, when: When) -> int | None:
    """Read a duration, all units summed, into ``when``; return its end."""
    end = None
    while amount := _AMOUNT.match(text, position):
        number = float(amount[1]) if amount[1][0].isdigit() else 1.0
        when.seconds = (when.seconds or 0.0) + number * _UNITS[amount[2][0].lower()]
        end = amount.end()
        position = _end(_GLUE, text, end)
    return end


def _items(text: str, position: int, when: When) -> int | None:
    """Read clock time, date and weekday, in any order, each once, into ``when``; return the end of the last one."""
    end = None
    while (after := _item(text, _end(_GLUE, text, position), when)) is not None:
        position = end = after
    return end


def _item(text: str, at: int, when: When) -> int | None:
    if when == When() and (match := _EPOCH.match(text, at)):
        when.epoch = int(match[1])
        return match.end()
    if when.epoch is not None:
        return None
    if when.month is None:
        if match := _ISO_DATE.match(text, at):
            return match.end() if _set_date(when, match[1], int(match[2]), match[3]) else None
        if (match := _MONTH_DAY.match(text, at)) and _set_date(when, match[3], _index(match[1], _MONTHS) + 1, match[2]):
            return match.end()
        if (match := _DAY_MONTH.match(text, at)) and _set_date(when, match[3], _index(match[2], _MONTHS) + 1, match[1]):
            return match.end()
    if when.clock is None and (match := _CLOCK.match(text, at)):
        when.clock = _clock(int(match[1]), match[2], match[3], match[4])
        return match.end() if when.clock is not None else None
    if match := _WORD.match(text, at):
        word = match[1].lower()
        if when.clock is None and word in {"noon", "midnight"}:
            when.clock = 12 * 3600 if word == "noon" else 0
        elif when.days_ahead is None and word in _DAY_WORDS:
            when.days_ahead = _DAY_WORDS[word]
        elif when.weekday is None and (weekday := _index(word, _WEEKDAYS)) >= 0:
            when.weekday = weekday
        else:
            return None
        return match.end()
    return None


def _index(word: str, names: tuple[str, ...]) -> int:
    """The index of the name that the word is or abbreviates, else -1."""
    return next((i for i, name in enumerate(names) if name.startswith(word.lower())), -1)


def _set_date(when: When, year: str | None, month: int, day: str) -> bool:
    if not (1 <= month <= 12 and 1 <= int(day) <= 31):
        return False
    when.year, when.month, when.day = int(year) if year else None, month, int(day)
    return True


def _clock(hour: int, minute: str | None, second: str | None, half: str | None) -> int | None:
    if half:
        if not 1 <= hour <= 12 and (hour or half[0] in "pP"):
            return None
        hour = hour % 12 + (12 if half[0] in "pPnN" else 0)
    elif minute is None:
        return None  # a number alone is not a time
    seconds = (hour * 60 + int(minute or 0)) * 60 + int(second or 0)
    return seconds if int(minute or 0) < 60 and int(second or 0) < 60 and seconds <= 86400 else None


def _zone(text: str, position: int) -> tuple[str | None, int, bool]:
    """The zone's name or None, the end of the clause, and whether the name is cut off."""
    if match := _ZONE_IN_PARENTHESES.match(text, position):
        name = match[1]
        if " " in name and any(map(str.isdigit, name)) and timezones.lookup(name) is None:
            return None, position, False  # a remark such as "(in 2 hours)"
        closed = match[2] == ")"
        return name, match.end() if closed else position, not closed
    if (match := _ZONE_BARE.match(text, position)) and timezones.is_bare(match[1]):
        return match[1], match.end(), False
    return None, position, False
