"""`failoverctl resume`: end a pause."""

import argparse
import os

from msgspec.structs import replace

from failover_oneshot.ctl.lib import installation
from failover_oneshot.ctl.lib.times import ago
from failover_oneshot.state.model import Pause, State


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments and the epilog."""
    installation.arguments(parser)
    installation.explained(
        parser,
        """
        failoverctl resume
        """,
        "Without a pause it changes nothing.",
    )


def run(options: argparse.Namespace) -> int:
    """Remove the pause from the state."""
    site = installation.find(options, os.environ)
    now = installation.now()
    before: Pause | None = None

    def work(state: State) -> State:
        nonlocal before
        before = state.paused
        return replace(state, paused=None) if before else state

    code = site.change(now, work)
    if before is None:
        text = "not paused; nothing changed"
    else:
        over = before.until is not None and before.until <= now
        text = f"resumed: the pause began {ago(before.since, now)}{' and was already over' if over else ''}"
    installation.say_fact(options, text, resumed=before is not None)
    return code
