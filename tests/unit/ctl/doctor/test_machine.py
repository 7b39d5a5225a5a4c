"""The doctor reads the timer's interval from systemctl."""

import pytest

from failover_oneshot.ctl.doctor.machine import interval


@pytest.mark.parametrize(
    ("printed", "seconds"),
    [
        ("{ OnActiveUSec=15s ; next_elapse=1 }\n{ OnUnitInactiveUSec=1min 30s ; next_elapse=2 }", 90),
        ("{ OnUnitActiveUSec=30s ; next_elapse=2 }", 30),
        ("", None),
    ],
)
def test_the_interval_as_systemctl_prints_it(printed: str, seconds: float | None) -> None:
    assert interval(printed) == seconds
