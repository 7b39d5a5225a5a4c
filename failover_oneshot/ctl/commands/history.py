"""`failoverctl history`: list past swaps and failed attempts, with their evidence."""

import argparse
import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from failover_oneshot.ctl.lib import installation
from failover_oneshot.ctl.lib.installation import told
from failover_oneshot.ctl.lib.terminal import Terminal
from failover_oneshot.ctl.lib.times import ago, instant
from failover_oneshot.errors import EXIT_USAGE
from failover_oneshot.lib.plural import up_to
from failover_oneshot.model import Outcome
from failover_oneshot.state.history import HistoryEntry, read

FEW = 20
STYLES = {Outcome.SWAPPED: "good", Outcome.RESUMED: "good", Outcome.FAILED: "bad", Outcome.WAITING: "warn"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments and the epilog."""
    installation.arguments(parser)
    parser.add_argument(
        "--since",
        metavar="TIME",
        help="show events from this time on: 2h (ago), 3d, today, 2026-11-24, 2026-11-24T10:00Z",
    )
    parser.add_argument(
        "-n", "--last", metavar="N", type=int, help=f"show the newest N events (default: {FEW}; 0: all)"
    )
    installation.explained(
        parser,
        """
        failoverctl history                 the last 20 events, newest last
        failoverctl history --since today
        failoverctl history --json | jq '.entries[] | select(.outcome == "failed")'
        """,
        "Events are swaps, restarts on an account that became free, failed attempts, and times without a free account. "
        "The state keeps the newest state.history of them. With --since or --json, --last defaults to 0.",
    )


def run(options: argparse.Namespace) -> int:
    """Print the events; 2 for a wrong --since."""
    site = installation.find(options, os.environ)
    now = installation.now()
    out = installation.paper()
    try:
        since = instant(options.since, now) if options.since else None
    except ValueError as error:
        installation.log.error("--since: %s", error)
        return EXIT_USAGE
    state, notes, code = told(site.peek(now))
    entries = [e for e in state.history if since is None or ((at := _at(e)) is not None and at >= since)]
    wanted = options.last if options.last is not None else 0 if since or options.json else FEW
    shown = entries[-wanted:] if wanted > 0 else entries
    if options.json:
        out.say(msgspec.json.encode({"version": 1, "total": len(state.history), "entries": shown}).decode())
        return code
    for note in notes:
        out.fact("Note", note, "warn")
    if len(shown) < len(entries):
        out.say(out.style(f"… {len(entries) - len(shown)} older (-n 0 shows all)", "dim"))
    for written in shown:
        _print(written, now, out)
    if not shown:
        out.say("no swaps yet" if not state.history else "no swaps in that time")
    return code


def _at(written: Mapping[str, Any]) -> datetime | None:
    """The time of an entry. One without a zone, as in a state edited by hand, counts as UTC: it is only displayed."""
    try:
        at = datetime.fromisoformat(str(written.get("at")))
        return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def _print(written: Mapping[str, Any], now: datetime, out: Terminal) -> None:
    entry, at = read(written), _at(written)
    when = f"{at:%Y-%m-%d %H:%MZ} ({ago(at, now)})" if at else str(written.get("at") or "at an unknown time")
    outcome = entry.outcome or "unknown"
    style = STYLES.get(Outcome(outcome), "") if outcome in set(Outcome) else ""
    out.say(f"{when}  {out.style(outcome, style)}{_move(entry)}")
    for text in _details(entry):
        out.paragraph(text, first="  ", rest="  ")


def _move(entry: HistoryEntry) -> str:
    if entry.outcome == Outcome.RESUMED:
        return f"  on {entry.to}"
    return f"  {entry.from_ or 'no account'} → {entry.to}" if entry.to else f"  {entry.from_ or ''}".rstrip()


def _details(entry: HistoryEntry) -> Iterator[str]:
    if entry.reason:
        yield entry.reason
    for words, names in entry.quotes.items():
        yield f"“{words}” on {up_to(10, names)}"
    by_what: dict[str, list[str]] = {}
    for name, what in entry.sessions.items():
        by_what.setdefault(what, []).append(name)
    for what, names in by_what.items():
        yield f"{what}: {up_to(10, names)}"
    for name, why in entry.rejected.items():
        yield f"{name} rejected: {why}"
