"""Durations are read and formatted as in Go, and errors quote the value."""

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failover_oneshot.lib import durations


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30), ("10m", 600), ("1h30m", 5400), ("500ms", 0.5), ("1.5h", 5400), ("0", 0), ("0s", 0), (".5s", 0.5),
        ("1.s", 1), ("1us", 1e-6), ("1µs", 1e-6), ("1μs", 1e-6), ("1ns", 1e-9), ("1m1m", 120), ("2s1h", 3602),
        (0, 0), (45, 45), ("1h2m3s4ms", 3723.004), ("7d", 604800), ("1d12h", 129600), ("1.5d", 129600),
    ],
)  # fmt: skip
def test_durations_of_go_and_days_are_read(text: str | int, seconds: float) -> None:
    assert durations.parse(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("30", "without a unit: '30'"),
        ("1.5", "without a unit: '1.5'"),
        ("1w", "not a valid duration: '1w'"),
        ("", "not a valid duration: ''"),
        ("s", "not a valid duration: 's'"),
        (".s", "not a valid duration: '.s'"),
        ("10 m", "not a valid duration: '10 m'"),
        ("10m ", "not a valid duration: '10m '"),
        ("10m\n", "not a valid duration: '10m\n'"),
        ("10M", "not a valid duration: '10M'"),
        ("bogus", r"not a valid duration: 'bogus' \(try 30s, 10m, 2h\)"),
        ("٣s", "not a valid duration: '٣s'"),
        ("-1s", "negative: '-1s'"),
        (-1, "negative: -1"),
        (10**400, "longer than"),
        ("1" + "0" * 400 + "h", "longer than"),
        (True, "not a valid duration"),
        (1.5, "not a valid duration: 1.5"),
        (None, "not a valid duration"),
        ([], "not a valid duration"),
    ],
)
def test_any_other_value_is_refused_with_a_reason(value: object, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        durations.parse(value)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"), (0.5, "500ms"), (0.9996, "1s"), (1.5, "1.5s"), (45, "45s"), (59.96, "1m"), (60, "1m"),
        (570, "9m30s"), (569.7, "9m30s"), (3599.6, "1h"), (3600, "1h"), (7200, "2h"), (7229, "2h"), (7230.1, "2h1m"),
        (86399, "1d"), (86400, "1d"), (273600, "3d4h"), (-45, "-45s"),
    ],
)  # fmt: skip
def test_a_duration_is_formatted_for_people(seconds: float, text: str) -> None:
    assert durations.format(seconds) == text


@given(st.integers(0, 10**7) | st.floats(0.001, 10**7))
def test_a_formatted_duration_reads_back(seconds: float) -> None:
    """To within half of its smaller unit."""
    back = durations.parse(durations.format(seconds))
    slack = 0.0005 if seconds < 1 else 0.05 if seconds < 60 else 0.5 if seconds < 3600 else 30
    slack = 1800 if seconds >= 86369 else slack
    assert back == pytest.approx(seconds, abs=slack + 1e-9)


@given(st.text() | st.from_regex(durations.PATTERN) | st.integers() | st.floats() | st.none() | st.booleans())
def test_any_value_gives_seconds_or_a_value_error(value: object) -> None:
    try:
        seconds = durations.parse(value)
    except ValueError:
        return
    assert math.isfinite(seconds)
    assert seconds >= 0


@given(st.from_regex(durations.PATTERN, fullmatch=True) | st.text("0123456789.hmsnuµ", max_size=8))
def test_the_schemas_pattern_and_the_parser_agree(text: str) -> None:
    """Except on the longest duration, which a pattern cannot express."""
    try:
        durations.parse(text)
        refused = ""
    except ValueError as error:
        refused = str(error)
    assert (re.fullmatch(durations.PATTERN, text) is None) == (bool(refused) and "longer than" not in refused)
