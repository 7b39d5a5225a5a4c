"""`failoverctl reset NAME`: forget that an account is exhausted or unusable."""

import argparse
import logging
import os

from failover_oneshot.ctl.lib import installation
from failover_oneshot.errors import EXIT_USAGE
from failover_oneshot.state.model import State, stamp
from failover_oneshot.state.transitions import with_account

log = logging.getLogger("failover")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments and the epilog."""
    installation.arguments(parser)
    parser.add_argument("name", metavar="NAME", nargs="+", help="account name from the configuration")
    installation.explained(
        parser,
        """
        failoverctl reset main           count main as free again
        """,
        "Use it when a limit was raised or a reset time was read wrong. It does not swap; the next check decides.",
        "exit codes: 0 done, or nothing to forget; 2 no such account",
    )


def run(options: argparse.Namespace) -> int:
    """Change the state; 2 when an account does not exist."""
    site = installation.find(options, os.environ)
    now = installation.now()
    told: dict[str, str] = {}
    shows: list[str] = []
    unknown: list[str] = []

    def work(state: State) -> State:
        unknown.extend(n for n in options.name if not site.config.account(n) and n not in state.accounts)
        if unknown:
            return state
        for name in options.name:
            memory = state.account(name)
            parts = []
            if memory.exhausted_until and memory.exhausted_until > now:
                parts.append(f"was exhausted until {stamp(memory.exhausted_until)}")
            if memory.unusable:
                parts.append(f"was unusable ({memory.unusable.reason})")
            told[name] = "; ".join(parts)
            if memory.exhausted_until or memory.unusable:
                state = with_account(state, name, exhausted_until=None, reason=None, unusable=None)
        for name, session in state.sessions.items():
            hit = session.hit
            if hit and not hit.acted_on and hit.account in options.name and (not hit.resets_at or hit.resets_at > now):
                shows.append(name)
        return state

    code = site.change(now, work)
    if unknown:
        known = ", ".join(a.name for a in site.config.accounts) or "none"
        log.error("no account named %s (accounts: %s)", ", ".join(f"'{name}'" for name in unknown), known)
        return EXIT_USAGE
    lines = [f"{name}: free again, {what}" if what else f"{name}: nothing to forget" for name, what in told.items()]
    if shows:
        few = ", ".join(shows[:3]) + (" and others" if len(shows) > 3 else "")
        lines.append(f"note: {few} still showed its hit at the last check; the next check may mark it exhausted again")
    installation.say_fact(options, "\n".join(lines), accounts={name: bool(what) for name, what in told.items()})
    return code
