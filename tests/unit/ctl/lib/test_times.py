"""Times for people, printed and parsed."""

from datetime import datetime

import pytest

from failover_oneshot.ctl.lib import times
from tests.support.builders import NOW, at


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90s", at(seconds=-90)), ("2h", at(hours=-2)), ("3d", at(days=-3)), ("1w", at(days=-7)),
        ("2026-11-24T09:00Z", at(hours=-1)), ("2026-11-24T09:00:00+02:00", at(hours=-3)),
    ],
)  # fmt: skip
def test_times_are_parsed(text: str, expected: datetime) -> None:
    assert times.instant(text, NOW) == expected


@pytest.mark.parametrize("text", ["", "soon", "-1h", "2026-13-01", "0001-01-01T00:00+14:00", "0"])
def test_invalid_times_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a valid time"):
        times.instant(text, NOW)


def test_times_are_printed() -> None:
    assert (times.ago(at(minutes=-3), NOW), times.ago(NOW, NOW)) == ("3m ago", "just now")
    assert times.ago(at(hours=1), NOW) == "in the future, at 11:00Z"
