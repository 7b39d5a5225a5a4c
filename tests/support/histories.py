"""Builders of entries of the state's history, and of the timeline that they make."""

from typing import Any

from failover_oneshot.ctl.report.timeline import Timeline, timeline
from failover_oneshot.state.model import State, stamp
from tests.support.builders import NOW, at

ACCOUNTS = ("main", "backup")


def swapped(minutes: float, from_: str = "main", to: str = "backup", **more: Any) -> dict[str, Any]:
    """The history entry of a swap, `minutes` after NOW."""
    return {"at": stamp(at(minutes=minutes)), "outcome": "swapped", "from": from_, "to": to, "reason": "r", **more}


def hits(**sessions: float) -> dict[str, str]:
    """The hits of an entry: the instant for each session, given in minutes after NOW."""
    return {session: stamp(at(minutes=minutes)) for session, minutes in sessions.items()}


def told(*history: dict[str, Any], hours: float = 24, **state: Any) -> Timeline:
    return timeline(State(history=history, **state), ACCOUNTS, at(hours=-hours), NOW)
