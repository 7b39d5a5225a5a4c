"""Reset times: every printed form, the rules of docs/detection.md, "Reset times", and any text at all."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from failover_oneshot.detection.resets import Reset, extract, extract_all, resolve, resolve_message
from failover_oneshot.model import Limit
from tests.support.paths import DATA

# What agents printed over two years. `at` is the instant when first seen at SEEN on a machine in Paris.
MESSAGES = json.loads((DATA / "resets.json").read_text())
SEEN = datetime(2026, 11, 23, 10, 20, tzinfo=UTC)
ZONES = ("UTC", "Europe/Paris", "America/New_York", "Asia/Calcutta", "Australia/Lord_Howe")
FIVE = Limit.FIVE_HOUR


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def instant(text: str, seen: str, zone: str = "UTC", limit: Limit | None = None) -> str | None:
    reset = resolve(text, at(seen), zone, limit)
    return f"{reset.at:%Y-%m-%dT%H:%MZ}" if reset else None


@pytest.mark.parametrize("row", MESSAGES, ids=lambda row: row["text"][:60])
def test_every_recorded_reset_is_read(row: dict[str, str]) -> None:
    assert extract(row["text"]) == row["reset"]
    found = resolve_message(row["text"], SEEN, "Europe/Paris")
    assert found == (Reset(at(row["at"]), bool(row["exact"])) if row["reset"] else None)
    if row["reset"]:
        assert resolve(row["reset"], SEEN, "Europe/Paris") == found


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize(
    ("text", "limit", "seen", "expected"),
    [
        ("10:45am (UTC)", FIVE, "2026-11-23T10:20:29Z", "2026-11-23T10:45Z"),
        ("12:20pm (UTC)", FIVE, "2026-11-23T10:20:20Z", "2026-11-23T12:20Z"),
        ("12:21pm (UTC)", FIVE, "2026-11-23T10:21:25Z", "2026-11-23T12:21Z"),
        ("12:39pm (UTC)", FIVE, "2026-11-23T10:39:40Z", "2026-11-23T12:39Z"),
        ("12:48pm (UTC)", FIVE, "2026-11-23T10:49:13Z", "2026-11-23T12:48Z"),
        ("12:55pm (UTC)", FIVE, "2026-11-23T10:48:48Z", "2026-11-23T12:55Z"),
        ("1:34pm (UTC)", FIVE, "2026-11-23T10:34:46Z", "2026-11-23T13:34Z"),
        ("6:40pm (UTC)", Limit.SEVEN_DAY, "2026-11-23T10:20:48Z", "2026-11-23T18:40Z"),
        ("Nov 26, 10:20am (UTC)", Limit.SEVEN_DAY, "2026-11-23T10:20:38Z", "2026-11-26T10:20Z"),
        ("Nov 27, 10:31am (UTC)", Limit.SEVEN_DAY, "2026-11-23T10:31:29Z", "2026-11-27T10:31Z"),
        ("Nov 26, 10:20am (UTC)", Limit.SEVEN_DAY_OPUS, "2026-11-23T10:20:57Z", "2026-11-26T10:20Z"),
        ("Nov 26, 10:21am (UTC)", Limit.SEVEN_DAY_SONNET, "2026-11-23T10:21:07Z", "2026-11-26T10:21Z"),
        ("Nov 26, 10:31am (UTC)", Limit.MODEL, "2026-11-23T10:31:37Z", "2026-11-26T10:31Z"),
        ("12:21pm (UTC)", Limit.OVERAGE, "2026-11-23T10:21:16Z", "2026-11-23T12:21Z"),
        ("1:31pm (UTC)", Limit.SPEND, "2026-11-23T10:31:43Z", "2026-11-23T13:31Z"),
        ("1:31pm (UTC)", Limit.UNKNOWN, "2026-11-23T10:31:43Z", "2026-11-23T13:31Z"),
    ],
)
def test_every_recorded_pane_on_machines_in_five_zones(
    text: str, limit: Limit, seen: str, expected: str, zone: str
) -> None:
    """A named zone counts; without it the same pane on a machine in that zone gives the same instant."""
    assert instant(text, seen, zone, limit) == expected
    assert instant(text.removesuffix(" (UTC)"), seen, "UTC", limit) == expected
    local = datetime.fromisoformat(expected).astimezone(ZoneInfo(zone))
    printed = f"{local:%b} {local.day}, {local:%I:%M%p}" if "," in text else f"{local:%I:%M%p}"
    assert instant(printed, seen, zone, limit) == expected


@pytest.mark.parametrize(
    ("text", "seen", "limit", "expected"),
    [
        # the first such instant after the text is first seen
        ("8pm", "2026-11-23T17:00Z", None, "2026-11-23T20:00Z"),
        ("8pm", "2026-11-23T17:00Z", FIVE, "2026-11-23T20:00Z"),
        ("3am", "2026-11-23T23:30Z", FIVE, "2026-11-24T03:00Z"),
        ("9am", "2026-11-23T17:00Z", None, "2026-11-24T09:00Z"),
        ("1am", "2026-12-31T22:00Z", FIVE, "2027-01-01T01:00Z"),
        # at most an hour in the past: it has just reset
        ("8pm", "2026-11-23T20:00Z", None, "2026-11-23T20:00Z"),
        ("8pm", "2026-11-23T20:05Z", None, "2026-11-23T20:00Z"),
        ("8pm", "2026-11-23T21:00Z", None, "2026-11-23T20:00Z"),
        ("8pm", "2026-11-23T21:01Z", None, "2026-11-24T20:00Z"),
        ("11:50pm", "2026-12-31T23:55Z", None, "2026-12-31T23:50Z"),
        ("11:50pm", "2027-01-01T00:10Z", None, "2026-12-31T23:50Z"),
        # a five-hour limit resets within 5 h 15 min, or has done so
        ("3:15pm", "2026-11-23T10:00Z", FIVE, "2026-11-23T15:15Z"),
        ("3:16pm", "2026-11-23T10:00Z", FIVE, "2026-11-22T15:16Z"),
        ("8pm", "2026-11-23T23:30Z", FIVE, "2026-11-23T20:00Z"),
        ("Nov 23, 8pm", "2026-11-25T10:00Z", FIVE, "2026-11-23T20:00Z"),
        ("Mon 12:00am", "2026-11-25T10:00Z", FIVE, "2026-11-23T00:00Z"),
        ("Aug 16 at 1am (Asia/Tokyo)", "2026-08-15T13:00Z", FIVE, "2026-08-15T16:00Z"),
        ("tomorrow at 2am", "2026-11-23T23:00Z", FIVE, "2026-11-24T02:00Z"),
        ("tomorrow at 2am", "2026-11-24T09:00Z", FIVE, "2026-11-24T02:00Z"),
        # a relative time counts from when it is first seen, all units summed
        ("in 45 minutes", "2026-11-23T10:00Z", None, "2026-11-23T10:45Z"),
        ("in 3 hours 15 minutes", "2026-11-23T10:00Z", FIVE, "2026-11-23T13:15Z"),
        ("in 1 hr 47 min", "2026-11-23T10:00Z", None, "2026-11-23T11:47Z"),
        ("in 2 days 3 hours", "2026-11-23T10:00Z", None, "2026-11-25T13:00Z"),
        ("in 2h30m", "2026-11-23T10:00Z", None, "2026-11-23T12:30Z"),
        ("2h 5m", "2026-11-23T10:00Z", None, "2026-11-23T12:05Z"),
        ("in 1.5 hours", "2026-11-23T10:00Z", None, "2026-11-23T11:30Z"),
        ("in an hour and 5 mins", "2026-11-23T10:00Z", None, "2026-11-23T11:05Z"),
        ("in: 1 week", "2026-11-23T10:00Z", None, "2026-11-30T10:00Z"),
        # dates: the nearest one that is not more than a day in the past
        ("Jan 2, 9am", "2026-12-30T10:00Z", None, "2027-01-02T09:00Z"),
        ("Dec 31, 11pm", "2027-01-01T10:00Z", None, "2026-12-31T23:00Z"),
        ("Nov 22, 10:20am", "2026-11-23T10:20Z", None, "2026-11-22T10:20Z"),
        ("Nov 22, 10:20am", "2026-11-23T10:21Z", None, "2027-11-22T10:20Z"),
        ("26 November 2026 at 14:05", "2026-11-23T10:00Z", None, "2026-11-26T14:05Z"),
        ("Jan 2, 2031, 3:15pm", "2026-11-23T10:00Z", FIVE, "2031-01-02T15:15Z"),
        ("2026-08-01 at 00:00 UTC", "2026-07-20T10:00Z", None, "2026-08-01T00:00Z"),
        ("2026-12-01T00:00:00.000+02:00", "2026-11-23T10:00Z", None, "2026-11-30T22:00Z"),
        ("2026-12-01T00:00:00Z", "2026-11-23T10:00Z", None, "2026-12-01T00:00Z"),
        ("Apr 24, 24:00", "2026-04-20T10:00Z", None, "2026-04-25T00:00Z"),
        ("1760000400", "2026-11-23T10:00Z", None, "2025-10-09T09:00Z"),
        ("1760000400123", "2026-11-23T10:00Z", None, "2025-10-09T09:00Z"),
        # days and hours by name
        ("Mon 12:00am", "2026-11-23T10:00Z", None, "2026-11-30T00:00Z"),
        ("Mon 12:00am", "2026-11-23T00:30Z", None, "2026-11-23T00:00Z"),
        ("4:00 AM Friday Apr 24", "2026-04-22T10:00Z", None, "2026-04-24T04:00Z"),
        ("Monday", "2026-11-21T10:00Z", None, "2026-11-23T00:00Z"),
        ("Monday", "2026-11-23T10:00Z", None, "2026-11-24T00:00Z"),
        ("Nov 26", "2026-11-23T10:00Z", None, "2026-11-26T00:00Z"),
        ("Nov 22", "2026-11-23T10:00Z", None, "2026-11-23T00:00Z"),
        ("tomorrow", "2026-11-23T10:00Z", None, "2026-11-24T00:00Z"),
        ("9am tomorrow", "2026-11-23T08:00Z", None, "2026-11-24T09:00Z"),
        ("today at 5 p.m.", "2026-11-23T08:00Z", None, "2026-11-23T17:00Z"),
        ("noon", "2026-11-23T08:00Z", None, "2026-11-23T12:00Z"),
        ("12 midnight", "2026-11-23T08:00Z", None, "2026-11-24T00:00Z"),
        ("12am", "2026-11-23T08:00Z", None, "2026-11-24T00:00Z"),
        ("12pm", "2026-11-23T08:00Z", None, "2026-11-23T12:00Z"),
        ("20:30 (Europe/Paris)", "2026-11-23T08:00Z", None, "2026-11-23T19:30Z"),
        # zones
        ("8pm (Asia/Calcutta)", "2026-11-23T12:00Z", None, "2026-11-23T14:30Z"),
        ("8pm (asia/kolkata)", "2026-11-23T12:00Z", None, "2026-11-23T14:30Z"),
        ("8pm (Europe/Kiev)", "2026-11-23T12:00Z", None, "2026-11-23T18:00Z"),
        ("8pm (Etc/GMT+5)", "2026-11-23T12:00Z", None, "2026-11-24T01:00Z"),
        ("8pm (UTC+2)", "2026-11-23T12:00Z", None, "2026-11-23T18:00Z"),
        ("8pm (gmt-03:30)", "2026-11-23T12:00Z", None, "2026-11-23T23:30Z"),
        ("8pm PST", "2026-11-23T12:00Z", None, "2026-11-24T04:00Z"),
        ("8pm (America/ Los_Angeles)", "2026-11-23T12:00Z", None, "2026-11-24T04:00Z"),
        ("9:15 UTC tomorrow", "2026-11-23T12:00Z", None, "2026-11-24T09:15Z"),
        # of two clauses the later one blocks, and a zone holds for both
        ("3pm (Europe/Paris); Nov 26, 10am", "2026-11-23T12:00Z", None, "2026-11-26T09:00Z"),
        ("Nov 26, 10am (UTC); in 2h", "2026-11-23T12:00Z", None, "2026-11-26T10:00Z"),
        # days that do not exist
        ("Feb 29, 9am", "2026-02-25T12:00Z", None, "2026-03-01T00:00Z"),
        ("Feb 29, 9am", "2028-02-25T12:00Z", None, "2028-02-29T09:00Z"),
        ("Feb 30, 9am", "2028-02-25T12:00Z", None, "2028-03-01T00:00Z"),
        ("Nov 31", "2026-11-23T12:00Z", None, "2026-12-01T00:00Z"),
        # not a time
        ("", "2026-11-23T12:00Z", None, None),
        ("soon", "2026-11-23T12:00Z", None, None),
        ("hourly", "2026-11-23T12:00Z", None, None),
        ("8", "2026-11-23T12:00Z", None, None),
        ("13pm", "2026-11-23T12:00Z", None, None),
        ("25:00", "2026-11-23T12:00Z", None, None),
        ("8:75pm", "2026-11-23T12:00Z", None, None),
        ("in a few minutes", "2026-11-23T12:00Z", None, None),
        ("in 999999 weeks", "2026-11-23T12:00Z", None, None),
        ("9999-12-31 at 23:59", "2026-11-23T12:00Z", None, None),
        ("0000-01-01 at 23:59", "2026-11-23T12:00Z", None, None),
        ("17600004000", "2026-11-23T12:00Z", None, None),
        ("99/99 at 1", "2026-11-23T12:00Z", None, None),
    ],
)
def test_a_text_becomes_an_instant(text: str, seen: str, limit: Limit | None, expected: str | None) -> None:
    assert instant(text, seen, "UTC", limit) == expected


@pytest.mark.parametrize(
    ("text", "zone", "seen", "limit", "expected"),
    [
        # spring: 2:30 does not exist and means 3:00; a day has 23 hours
        ("2:30am", "Europe/Paris", "2026-03-28T23:00Z", None, "2026-03-29T01:00Z"),
        ("2:30am", "Europe/Paris", "2026-03-28T23:00Z", FIVE, "2026-03-29T01:00Z"),
        ("3:30am", "Europe/Paris", "2026-03-28T23:00Z", FIVE, "2026-03-29T01:30Z"),
        ("2:30am", "America/New_York", "2026-03-08T04:00Z", FIVE, "2026-03-08T07:00Z"),
        ("Mar 29 at 2:30am", "Europe/Paris", "2026-03-25T12:00Z", None, "2026-03-29T01:00Z"),
        ("tomorrow at 9am", "Europe/Paris", "2026-03-28T12:00Z", None, "2026-03-29T07:00Z"),
        # autumn: 2:30 (1:30) comes twice and means the later one, unless that is too far ahead for the limit
        ("2:30am", "Europe/Paris", "2026-10-24T22:00Z", None, "2026-10-25T01:30Z"),
        ("2:30am", "Europe/Paris", "2026-10-24T22:00Z", FIVE, "2026-10-25T01:30Z"),
        ("2:30am", "Europe/Paris", "2026-10-24T20:00Z", FIVE, "2026-10-25T00:30Z"),
        ("1:30am", "America/New_York", "2026-11-01T03:00Z", FIVE, "2026-11-01T06:30Z"),
        ("Nov 1, 1:30am", "America/New_York", "2026-10-28T03:00Z", None, "2026-11-01T06:30Z"),
        ("tomorrow at 9am", "America/New_York", "2026-10-31T12:00Z", None, "2026-11-01T14:00Z"),
        ("in 3 hours", "Europe/Paris", "2026-10-24T23:00Z", None, "2026-10-25T02:00Z"),
        # a change of half an hour, and a whole day that was skipped
        ("2:15am", "Australia/Lord_Howe", "2026-10-03T12:00Z", None, "2026-10-03T15:30Z"),
        ("Dec 30, 9am", "Pacific/Apia", "2011-12-29T12:00Z", None, "2011-12-30T10:00Z"),
    ],
)
def test_clock_changes_are_resolved(text: str, zone: str, seen: str, limit: Limit | None, expected: str) -> None:
    assert instant(text, seen, zone, limit) == expected
    assert instant(f"{text} ({zone})", seen, "UTC", limit) == expected


@pytest.mark.parametrize(
    ("text", "exact"),
    [
        ("8pm (UTC)", True),
        ("8pm", True),
        ("in 2 hours", True),
        ("8pm (Europe/Atlantis)", False),
        ("8pm (IST)", False),
        ("8pm CST", False),
        ("8pm (Eastern Time)", False),
        ("8pm (../../etc/passwd)", False),
        ("8pm (\0)", False),
        ("8pm (" + "A" * 10_000 + ")", False),
        ("8pm (Euro", False),
        ("8pm (in 2 hours)", True),
        ("about 8pm", False),
        ("in approximately 2 hours", False),
        ("Nov 26", False),
    ],
)
def test_an_open_text_is_inexact(text: str, exact: bool) -> None:
    """For an unknown zone the machine's is used."""
    reset = resolve(text, SEEN, "Europe/Paris")
    assert reset is not None
    assert reset.exact is exact
    if "8pm" in text and "UTC" not in text:
        assert reset.at == at("2026-11-23T19:00Z")


def test_a_weekly_date_far_ahead_is_inexact() -> None:
    """The rule for dates picks next year, but a weekly limit resets within a week."""
    assert resolve("Nov 20, 9am", SEEN, "UTC", Limit.SEVEN_DAY) == Reset(at("2027-11-20T09:00Z"), exact=False)
    assert resolve("Nov 29, 9am", SEEN, "UTC", Limit.SEVEN_DAY) == Reset(at("2026-11-29T09:00Z"), exact=True)


def test_an_unknown_machine_zone_is_utc() -> None:
    assert resolve("8pm", SEEN, "Middle/Earth") == Reset(at("2026-11-23T20:00Z"), exact=False)
    assert resolve("8pm", SEEN, ZoneInfo("Europe/Paris")) == Reset(at("2026-11-23T19:00Z"), exact=True)


@pytest.mark.parametrize(
    ("message", "clauses"),
    [
        ("API Error: 400 … You will regain access on 2026-12-01 at 00:00 UTC.", ("2026-12-01 at 00:00 UTC",)),
        ("5-hour limit · resets 3pm (UTC) · weekly limit resets Nov 26, 9am", ("3pm (UTC)", "Nov 26, 9am")),
        ("hit your limit · resets 3pm (UTC)\n● set to continue automatically at 3pm", ("3pm (UTC)",)),
        ("set to continue automatically at 3pm · resets 3pm (UTC)", ("3pm (UTC)",)),
        ("resets 3pm (UTC), resets 3pm (Asia/Tokyo)", ("3pm (UTC)", "3pm (Asia/Tokyo)")),
        ("limit · resets\n  6:40pm\n  (Europe/Bucharest)", ("6:40pm (Europe/Bucharest)",)),
        ("resets 3:45\u202fPM (UTC)", ("3:45 PM (UTC)",)),
        ("resets at: 3pm.", ("3pm",)),
        ("It presets 3pm; resets when ready; a reset of 3 things; reset 3 times", ()),
        ("/upgrade to Max for higher limits every month, 5pm", ()),
    ],
)
def test_the_clauses_of_a_message_are_extracted(message: str, clauses: tuple[str, ...]) -> None:
    assert extract_all(message) == clauses
    assert extract(message) == ("; ".join(clauses) or None)


def test_the_later_clause_of_a_message_blocks() -> None:
    """Also from the extracted text, which the state keeps."""
    message = "5-hour limit · resets 3pm (Europe/Paris) · weekly limit resets Nov 26, 9am"
    expected = Reset(at("2026-11-26T08:00Z"), exact=True)
    assert resolve_message(message, SEEN, "UTC") == expected
    assert resolve(extract(message) or "", SEEN, "UTC") == expected


# Properties.

MINUTES = st.datetimes(datetime(2025, 1, 1), datetime(2032, 1, 1)).map(
    lambda d: d.replace(second=0, microsecond=0, tzinfo=UTC)
)
CHANGES = [at(f"{day}T00:00Z") for day in ("2026-03-29", "2026-10-25", "2026-03-08", "2026-11-01", "2027-01-01")]
NEAR_CHANGES = st.builds(
    lambda day, minutes: day + timedelta(minutes=minutes), st.sampled_from(CHANGES), st.integers(-1800, 1800)
)
SIGHTS = st.one_of(MINUTES, NEAR_CHANGES)


def clock12(d: datetime) -> str:
    return f"{d.hour % 12 or 12}:{d:%M}{'am' if d.hour < 12 else 'pm'}"


# A form, the limit it is printed for, and the number of hours ahead for which it is unambiguous.
FORMS: dict[str, tuple[Callable[[datetime], str], Limit | None, float, float]] = {
    "clock of a session limit": (clock12, FIVE, 0, 5.25),
    "24 hours": (lambda d: f"{d:%H:%M}", FIVE, 0, 5.25),
    "clock of a weekly limit": (clock12, Limit.SEVEN_DAY, 0, 21.5),
    "month day, clock": (lambda d: f"{d:%b} {d.day}, {clock12(d)}", Limit.SEVEN_DAY, -23, 24 * 300),
    "month day at clock": (lambda d: f"{d:%B} {d.day} at {d:%H:%M}", None, -23, 24 * 300),
    "weekday clock": (lambda d: f"{d:%a} {clock12(d)}", Limit.SEVEN_DAY, 0, 24 * 7 - 2.5),
    "clock weekday date": (lambda d: f"{d:%I:%M %p %A %b} {d.day}", Limit.SEVEN_DAY, -23, 24 * 300),
    "date with a year": (lambda d: f"{d:%b} {d.day}, {d.year}, {clock12(d)}", FIVE, -9000, 9000),
    "iso date at": (lambda d: f"{d:%Y-%m-%d} at {d:%H:%M}", FIVE, -9000, 9000),
}


@given(st.sampled_from(sorted(FORMS)), SIGHTS, st.floats(0, 1), st.sampled_from(ZONES), st.booleans())
def test_what_is_printed_is_read_back(form: str, seen: datetime, part: float, zone: str, named: bool) -> None:
    write, limit, first, last = FORMS[form]
    ahead = timedelta(minutes=round(60 * (first + (last - first) * part)))
    local = (seen + ahead).astimezone(ZoneInfo(zone))
    later = local.replace(fold=1).astimezone(UTC)
    within = limit is not FIVE or form.endswith(("year", "at")) or later - seen <= timedelta(hours=5, minutes=15)
    expected = later if within else local.astimezone(UTC)
    text = f"{write(local)} ({zone})" if named else write(local)
    assert resolve(text, seen, "UTC" if named else zone, limit) in (Reset(expected), Reset(expected, exact=False))


@given(SIGHTS, st.integers(0, 9), st.integers(0, 99), st.integers(0, 99))
def test_durations_are_read_back(seen: datetime, days: int, hours: int, minutes: int) -> None:
    expected = Reset(seen + timedelta(days=days, hours=hours, minutes=minutes))
    assert resolve(f"in {days} days {hours} hours {minutes} minutes", seen, "UTC") == expected
    assert resolve(f"in {days}d {hours}h {minutes}m", seen, "UTC") == expected
    assert resolve(f"in {days}d, {hours} hrs and {minutes} min", seen, "UTC") == expected


@given(SIGHTS, st.integers(1_000_000_000, 2_000_000_000))
def test_epochs_are_read_back(seen: datetime, epoch: int) -> None:
    assume(epoch < seen.timestamp() + 10 * 365 * 86400)
    expected = Reset(datetime.fromtimestamp(epoch, UTC))
    assert resolve_message(f"Claude AI usage limit reached|{epoch}", seen, "UTC") == expected


@given(SIGHTS, st.times(), st.sampled_from(ZONES))
def test_a_bare_clock_stays_within_its_bounds(seen: datetime, clock: object, zone: str) -> None:
    text = f"{clock:%H:%M}"
    weekly, session = resolve(text, seen, zone, Limit.SEVEN_DAY), resolve(text, seen, zone, FIVE)
    assert weekly is not None
    assert session is not None
    assert timedelta(hours=-1) <= weekly.at - seen <= timedelta(hours=25)
    assert timedelta(hours=-25) <= session.at - seen <= timedelta(hours=5, minutes=15)


WORDS = st.sampled_from(
    [
        "resets",
        "at",
        "in",
        "Nov",
        "26",
        "10:20am",
        "(UTC)",
        "(",
        ")",
        "Mon",
        "tomorrow",
        "1760000400",
        "2026-02-30",
        "and",
        "9999",
        "hours",
        "5",
        "Feb 29",
        "T24:00",
        "+14:59",
        "again",
        "until",
        ";",
        "; ",
        ",",
        "PST",
        "0",
        "99h",
    ]
)
ANY_TEXT = st.one_of(st.text(max_size=200), st.lists(WORDS, max_size=20).map(" ".join), st.lists(WORDS).map("".join))


@given(ANY_TEXT, st.sampled_from([SEEN, datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)]), ANY_TEXT)
@example("resets in 999999 weeks 999999 weeks", SEEN, "UTC")
@example("resets Dec 31 at 11pm (America/New_York)", datetime.max.replace(tzinfo=UTC), "Asia/Tokyo")
def test_any_text_is_a_reset_or_none(text: str, seen: datetime, zone: str) -> None:
    for limit in (None, FIVE, Limit.SEVEN_DAY):
        for found in (resolve(text, seen, zone, limit), resolve_message(text, seen, "Europe/Paris", limit)):
            assert found is None or found.at.tzinfo is UTC
    assert (extract(text) is None) == (not extract_all(text))


@pytest.mark.parametrize(
    "text",
    [
        "reset ",
        "resets 3pm (",
        "again in 1h ",
        "on ",
        "1",
        "3pm a-",
        "resets 3pm (A/b) ",
        "3pm; ",
        "resets in 1h ",
        " ",
    ],
)
def test_very_long_texts_are_read_in_linear_time(text: str) -> None:
    """A million characters of each kind; a quadratic step would not return."""
    endless = "resets " + text * (1_000_000 // len(text))
    assert isinstance(extract_all(endless), tuple)
    resolve(endless, SEEN, "UTC")
