"""Looks up a time zone by the name that an agent prints. Reads no clock, and the zone database only if it must."""

import re
from datetime import UTC, timedelta, timezone, tzinfo
from functools import lru_cache

_UTC_NAMES = frozenset({"z", "utc", "gmt", "ut", "uct", "zulu", "universal", "greenwich"})

# Hours east of UTC, only for abbreviations with one meaning: BST, CST, CDT, IST, AST and AMT are used on two
# continents. CET, EET, MET and WET are found in the zone database, with their summer time.
_ABBREVIATIONS: dict[str, float] = {
    "pst": -8, "pdt": -7, "mst": -7, "mdt": -6, "est": -5, "edt": -4,
    "akst": -9, "akdt": -8, "hst": -10, "cest": 2, "eest": 3, "msk": 3, "jst": 9, "kst": 9,
    "hkt": 8, "sgt": 8, "awst": 8, "acst": 9.5, "acdt": 10.5, "aest": 10, "aedt": 11, "nzst": 12, "nzdt": 13,
}  # fmt: skip
_AMBIGUOUS = frozenset({"amt", "ast", "bst", "cdt", "cst", "ist"})
_OTHER_ABBREVIATIONS = _AMBIGUOUS | {"cet", "eet"}

_OFFSET = re.compile(r"(?:utc|gmt)? ?([+-−])(\d{1,2})(?::?(\d{2}))?", re.IGNORECASE | re.ASCII)
_SPELLINGS = {"of": "of", "es": "es", "au": "au", "us": "US"}  # not capitalized like the other words
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_+/-]{0,63}")
_ETC = re.compile(r"etc/gmt([+-])(\d{1,2})", re.IGNORECASE | re.ASCII)


def is_bare(name: str) -> bool:
    """Whether a word after a clock time, without parentheses, is a zone."""
    folded = name.casefold()
    if "/" in name or _OFFSET.fullmatch(name):
        return lookup(name) is not None
    return folded in _UTC_NAMES or folded in _ABBREVIATIONS or folded in _OTHER_ABBREVIATIONS


@lru_cache(maxsize=256)
def lookup(name: str) -> tzinfo | None:
    """The zone of that name, or None: IANA names and aliases, `UTC+2`, unambiguous abbreviations, in any case.

    Never raises. Without a zone database on the machine, only UTC, `Etc/GMT±N`, offsets and abbreviations are known.
    """
    name = name.strip()
    folded = name.casefold()
    if folded in _UTC_NAMES or folded.removeprefix("etc/") in _UTC_NAMES:
        return UTC
    if match := _OFFSET.fullmatch(name):
        return _fixed(match[1] == "+", int(match[2]), int(match[3] or 0))
    if match := _ETC.fullmatch(name):
        return _fixed(match[1] == "-", int(match[2]), 0)  # POSIX counts hours west of Greenwich: Etc/GMT+5 is UTC-5
    if folded in _AMBIGUOUS:
        return None
    if folded in _ABBREVIATIONS:
        return timezone(timedelta(hours=_ABBREVIATIONS[folded]))
    # a name rejoined from wrapped lines may hold a space that was not there, or that was an underscore
    for candidate in dict.fromkeys((name, name.replace(" ", ""), name.replace(" ", "_"))):
        if _NAME.fullmatch(candidate) and (found := _from_database(candidate)):
            return found
    return None


def _fixed(east: bool, hours: int, minutes: int) -> tzinfo | None:
    offset = timedelta(hours=hours, minutes=minutes)
    if minutes > 59 or offset > timedelta(hours=14):
        return None
    return timezone(offset if east else -offset)


def _from_database(name: str) -> tzinfo | None:
    from zoneinfo import ZoneInfo

    # listing the database to ignore case would take longer than a whole check, so try the usual spellings
    for candidate in dict.fromkeys((name, _title(name), name.upper())):
        try:
            return ZoneInfo(candidate)
        except (OSError, ValueError, LookupError, ImportError):
            continue
    return None


def _title(name: str) -> str:
    """The name as the database spells it: `america/port_of_spain` becomes America/Port_of_Spain."""
    parts = re.split(r"([/_-])", name.lower())
    return "".join(_SPELLINGS.get(part) or part.capitalize() for part in parts)
