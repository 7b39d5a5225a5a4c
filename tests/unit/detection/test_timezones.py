"""The names of time zones that an agent prints."""

import subprocess
import sys

from failover_oneshot.detection import timezones


def test_without_a_zone_database_only_fixed_zones_are_known() -> None:
    script = (
        "import sys; sys.modules['tzdata'] = None\n"
        "from failover_oneshot.detection.timezones import lookup\n"
        "print(*(lookup(n) for n in ('UTC', 'Etc/UTC', 'Etc/GMT+5', 'UTC+2', 'PST', 'Asia/Calcutta')), sep='|')"
    )
    environ = {"PYTHONTZPATH": ""}
    done = subprocess.run([sys.executable, "-c", script], env=environ, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "UTC|UTC|UTC-05:00|UTC+02:00|UTC-08:00|None"


def test_every_zone_of_the_database_is_found_in_lower_case() -> None:
    """Except some old names with capitals inside, which no agent prints."""
    for name in ("America/Port_of_Spain", "America/Port-au-Prince", "US/Eastern", "EST5EDT", "Africa/Dar_es_Salaam"):
        assert timezones.lookup(name) == timezones.lookup(name.lower()) is not None
