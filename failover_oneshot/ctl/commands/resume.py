"""`failoverctl resume`: the end of a pause."""

import argparse
import os

from msgspec.structs import replace

from failover_oneshot.ctl.lib import installation
from failover_oneshot.ctl.lib.times import ago
from failover_oneshot.state.model import Pause, State


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    installation.arguments(parser)
    installation.explained(
        parser,
        """
        failoverctl resume
        """,
        "Where nothing is paused nothing is changed.",
    )


def run(options: argparse.Namespace) -> int:
    """Take the pause out of the state."""
    site = installation.find(options, os.environ)
    now = installation.now()
    before: Pause | None = None

    def work(state: State) -> State:
        nonlocal before
        before = state.paused
        return replace(state, paused=None) if before else state

    code = site.change(now, work)
    if before is None:
        text = "the checks were not paused: nothing is changed"
    else:
        over = before.until is not None and before.until <= now
        text = (
            f"the pause of {ago(before.since, now)} {'was over already' if over else 'is over'}: the checks work again"
        )
    installation.say_fact(options, text, resumed=before is not None)
    return code
