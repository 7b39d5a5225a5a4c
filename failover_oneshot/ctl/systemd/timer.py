"""When systemd runs the next check, from systemctl if there is one, within 2 seconds."""

import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from failover_oneshot.ctl.lib.status import Timer
from failover_oneshot.ctl.systemd import programs, units
from failover_oneshot.ctl.systemd.units import SERVICE, TIMER

TIMEOUT = 2.0  # seconds
_ASKED = ("Id", "LoadState", "ActiveState", "NextElapseUSecMonotonic", "NextElapseUSecRealtime")


def ask(environ: Mapping[str, str], now: datetime) -> Timer | None:
    """The user's timer; None if systemctl is missing, does not answer, or does not know the unit."""
    argv = ["systemctl", "--user", "show", TIMER, SERVICE, *(f"--property={name}" for name in _ASKED)]
    said = programs.ask(*argv, environ={**environ, "LC_ALL": "C", "TZ": "UTC"}, timeout=TIMEOUT)
    if not said.ok:
        return None
    return parse(said.out, time.clock_gettime(time.CLOCK_MONOTONIC), now)


def parse(shown: str, monotonic: float, now: datetime) -> Timer | None:
    """The timer, from `systemctl show` of both units; ``monotonic``: the monotonic clock now, in seconds."""
    found = {}
    for block in shown.split("\n\n"):
        values = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        found[values.get("Id", "")] = values
    timer, service = found.get(TIMER, {}), found.get(SERVICE, {})
    if timer.get("LoadState", "not-found") == "not-found":
        return None
    running = service.get("ActiveState") in {"activating", "active", "reloading"}
    if timer.get("ActiveState") != "active":
        word = timer.get("ActiveState", "unknown")
        fix = f"run `systemctl --user enable --now {TIMER}`"
        return Timer(active=False, running=running, note=f"{TIMER} is {word}; {fix}")
    at = _realtime(timer.get("NextElapseUSecRealtime", ""))
    since_boot = units.seconds(timer.get("NextElapseUSecMonotonic", ""))
    if since_boot:
        elapses = now + timedelta(seconds=since_boot - monotonic)
        at = min(at, elapses) if at else elapses
    if at is None:
        note = None if running else f"{TIMER} is active but has no next run; run `systemctl --user restart {TIMER}`"
        return Timer(active=True, running=running, note=note)
    return Timer(active=True, next_at=at, next_in=max(0.0, (at - now).total_seconds()), running=running)


def _realtime(text: str) -> datetime | None:
    try:
        return datetime.strptime(text.strip(), "%a %Y-%m-%d %H:%M:%S UTC").replace(tzinfo=UTC)
    except ValueError:
        return None
