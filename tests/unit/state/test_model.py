"""Times as the state and its readers write them."""

from datetime import datetime

import pytest

from failover_oneshot.state.model import clock, stamp
from tests.support.builders import NOW, at


@pytest.mark.parametrize(
    ("time", "text"),
    [
        (at(hours=2), "12:00Z"),
        (at(hours=-19), "15:00Z"),
        (at(days=2), "Nov 26 10:00Z"),
        (at(days=-3), "Nov 21 10:00Z"),
        (at(days=60), "2027-01-23 10:00Z"),
    ],
)
def test_a_time_for_people_has_a_date_only_where_it_needs_one(time: datetime, text: str) -> None:
    assert clock(time, NOW) == text


def test_a_stamp_has_whole_seconds() -> None:
    assert stamp(at(seconds=0.75)) == "2026-11-24T10:00:00Z"
