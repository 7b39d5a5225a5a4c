"""Times for people, printed and parsed: `3m ago`, `14:20Z`; `--since 2h`, `--since 2026-11-24`."""

import argparse
import re
from datetime import UTC, datetime, timedelta

from failover_oneshot.lib import durations
from failover_oneshot.state.model import clock

LONG = {"d": 24 * 3600, "w": 7 * 24 * 3600}


def ago(at: datetime, now: datetime) -> str:
    """How long ago, such as `3m ago`; a time in the future (the clock went back) is shown as such."""
    seconds = (now - at).total_seconds()
    if seconds < 0:
        return f"in the future, at {clock(at, now)}" if seconds < -2 else "just now"
    return f"{durations.format(round(seconds))} ago" if seconds >= 1 else "just now"


def span(seconds: float) -> str:
    """A length of time, such as `1h32m`; a negative one is 0s."""
    return durations.format(max(0, round(seconds)))


def duration(text: str) -> float:
    """Parse `90s`, `2h`, `3d` or `1w` into seconds, more than zero. An argparse type: raises ArgumentTypeError."""
    found = re.fullmatch(r"(\d{1,5})([dw])", text)
    try:
        seconds = float(int(found[1]) * LONG[found[2]]) if found else durations.parse(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"not a valid duration: {text!r} (try 30m, 2h, 3d, 1w)") from None
    if seconds <= 0:
        raise argparse.ArgumentTypeError("must be greater than zero")
    return seconds


def instant(text: str, now: datetime) -> datetime:
    """Parse a duration before ``now``, a date, a date with a time, `today` or `yesterday` into an instant (UTC).

    Without a zone, the machine's zone counts. Raises ValueError with the message for the user.
    """
    try:
        return now - timedelta(seconds=duration(text))
    except (argparse.ArgumentTypeError, OverflowError):
        pass
    days = {"today": 0, "yesterday": 1}.get(text.strip().lower())
    try:
        if days is not None:
            midnight = now.astimezone().replace(hour=0, minute=0, second=0, microsecond=0)
            return (midnight - timedelta(days=days)).astimezone(UTC)
        return datetime.fromisoformat(text.strip()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"not a valid time: {text!r} (try 2h, 3d, 2026-11-24, 2026-11-24T10:00Z, today)") from None
