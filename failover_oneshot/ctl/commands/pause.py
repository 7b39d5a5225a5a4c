"""`failoverctl pause`: the checks go on running, but keep still."""

import argparse
import logging
import os
from datetime import timedelta

from msgspec.structs import replace

from failover_oneshot.ctl.lib import installation
from failover_oneshot.ctl.lib.terminal import printable
from failover_oneshot.ctl.lib.times import duration
from failover_oneshot.lib.redact import redact
from failover_oneshot.state.model import Pause, State, seconds, stamp

REASON = 200  # characters: it stands in every summary line

log = logging.getLogger("failover")


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    installation.arguments(parser)
    parser.add_argument("--for", dest="time", metavar="TIME", type=duration, help="how long (default: until resume)")
    parser.add_argument("--reason", metavar="TEXT", help="why: it stands in the checks' summary line")
    installation.explained(
        parser,
        """
        failoverctl pause --for 2h --reason 'moving the accounts'
        failoverctl pause                        until failoverctl resume
        """,
        "A check that is paused looks at nothing, swaps nothing and creates no session; a swap that is under way is "
        "finished all the same. A second pause takes the place of the first.",
    )


def run(options: argparse.Namespace) -> int:
    """Note the pause in the state."""
    site = installation.find(options, os.environ)
    now = seconds(installation.now())
    try:
        until = now + timedelta(seconds=options.time) if options.time else None
    except OverflowError:
        until = None
    reason = redact(" ".join(printable(options.reason or "").split()))[:REASON] or None
    pause = Pause(since=now, until=until, reason=reason)
    owed = False

    def work(state: State) -> State:
        nonlocal owed
        owed = state.swap_in_progress is not None
        return replace(state, paused=pause)

    code = site.change(now, work)
    end = f"until {stamp(until)}" if until else "until `failoverctl resume`"
    if owed:
        log.warning("a swap is under way: the next check still finishes it")
    installation.say_fact(options, f"paused {end}: the checks keep still", paused=pause)
    return code
