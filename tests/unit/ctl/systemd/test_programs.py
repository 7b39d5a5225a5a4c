"""The units in the package."""

from failover_oneshot.ctl.systemd import programs
from failover_oneshot.ctl.systemd.units import SERVICE, TIMER
from tests.support.paths import DEPLOY


def test_the_packaged_units_are_the_shipped_ones() -> None:
    for name in (SERVICE, TIMER):
        assert programs.template(name) == (DEPLOY / name).read_text()
