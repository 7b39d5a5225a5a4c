"""The time of the next check, from systemctl."""

from datetime import timedelta

import pytest

from failover_oneshot.ctl.systemd import timer
from tests.support.builders import NOW

SHOWN = """Id=failover.timer
LoadState={load}
ActiveState={active}
NextElapseUSecRealtime={real}
NextElapseUSecMonotonic={mono}

Id=failover.service
LoadState=loaded
ActiveState={service}
NextElapseUSecRealtime=
"""


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"mono": "1d 2h 3min 14.5s"}, (True, 14.5)),
        ({"mono": "1month 1d"}, (True, 2629800.0 - 7380)),
        ({"real": "Tue 2026-11-24 10:01:00 UTC"}, (True, 60.0)),
        ({"mono": "1d 2h 3min 30s", "real": "Tue 2026-11-24 10:00:10 UTC"}, (True, 10.0)),
        ({"mono": "infinity", "service": "activating"}, (True, None)),
        ({"mono": "infinity"}, (True, None)),
        ({"active": "inactive"}, (False, None)),
        ({"active": "failed"}, (False, None)),
        ({"load": "not-found"}, None),
    ],
)
def test_the_next_run_is_read_from_systemctl(
    changes: dict[str, str], expected: tuple[bool, float | None] | None
) -> None:
    defaults = {"load": "loaded", "active": "active", "real": "", "mono": "infinity", "service": "inactive"}
    monotonic = 86400 + 2 * 3600 + 180.0
    found = timer.parse(SHOWN.format(**{**defaults, **changes}), monotonic, NOW)
    if expected is None:
        assert found is None
        return
    assert found is not None
    assert (found.active, found.next_in) == expected
    assert (found.next_at is None) == (found.next_in is None)
    if found.next_at and found.next_in is not None:
        assert found.next_at - NOW == timedelta(seconds=found.next_in)
    quiet = found.next_in is not None or found.running
    assert (found.note is None) == quiet, "a timer that will not run has a note"


@pytest.mark.parametrize(
    "shown", ["", "garbage", "Id=failover.timer\n", "a=b\n\nc=d", "Id=failover.timer\nLoadState=x"]
)
def test_any_output_of_systemctl_is_accepted(shown: str) -> None:
    found = timer.parse(shown, 0.0, NOW)
    assert found is None or not found.active
