"""`failoverctl explain`: show a text block by block, the rule that matched each line, and what a check would decide."""

import argparse
import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from failover_oneshot.agents import registry
from failover_oneshot.agents.base import CHROME, MENU, ExplainedLine, Explanation
from failover_oneshot.analysis.explain import consequence, in_words
from failover_oneshot.ctl.lib import installation
from failover_oneshot.ctl.lib.installation import Installation, log
from failover_oneshot.ctl.lib.snapshot import Snapshot, snapshot
from failover_oneshot.ctl.lib.status import next_of, would
from failover_oneshot.ctl.lib.terminal import Terminal, elided, printable
from failover_oneshot.ctl.lib.times import span
from failover_oneshot.errors import EXIT_FAILED, EXIT_USAGE
from failover_oneshot.lib import atomicfile
from failover_oneshot.lib.plural import up_to
from failover_oneshot.lib.scrub import scrub
from failover_oneshot.model import Evidence, Finding, Kind, Reading
from failover_oneshot.observe import machine_zone
from failover_oneshot.state.model import stamp

LIMIT = 4 * 1024 * 1024  # bytes of a text, some thousand screens
STYLES = {Kind.OK: "good", Kind.WARNING: "warn", Kind.SERVER_ERROR: "warn"}


class Text(Struct, frozen=True):
    """A text to explain: its name, the text, the pane's title, and what the agent's records say, if there are any."""

    name: str
    text: str
    title: str = ""
    record: Reading | None = None


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments and the epilog."""
    parser.add_argument(
        "what", metavar="FILE|SESSION|-", nargs="?", help="text file, watched session, or - (default): stdin"
    )
    installation.arguments(parser)
    parser.add_argument("--title", default="", help="pane title of a text; a spinner in it means busy")
    parser.add_argument("--at", metavar="TIME",
                        help="when a text was on the screen, e.g. 2026-11-23T10:23Z (default: now)")  # fmt: skip
    parser.add_argument("--save", metavar="DIR", help="save the text to this folder, without secrets")
    installation.explained(
        parser,
        """
        failoverctl explain ccl-auto-11
        failoverctl explain tests/panes/quota/hit-5h-2h-80x24.txt
        tmux capture-pane -pJ -t =ccl-auto-11: | failoverctl explain
        failoverctl explain ccl-auto-11 --save tests/panes/quota
        """,
        "Lines in gray are ignored: borders and status lines, earlier turns, blocks above the tail. Without a "
        "configuration a text is explained by the built-in rules. For a session, the agent's records and the state are "
        "used as well.",
        "exit codes: 0; 1 no such file or session; 2 wrong usage; 74 the state cannot be read; 78 configuration wrong",
    )


def run(options: argparse.Namespace) -> int:
    """Explain the text or the session."""
    site, _ = installation.find_or_default(options, os.environ)
    installation.quiet()
    what = options.what or ("" if sys.stdin.isatty() else "-")
    if not what:
        log.error("nothing to explain; name a file or a session, or pipe a text to stdin")
        return EXIT_USAGE
    try:
        now = datetime.fromisoformat(options.at).astimezone(UTC) if options.at else installation.now()
    except (ValueError, OverflowError):
        log.error("--at: not a valid time: %r (try 2026-11-23T10:23Z)", options.at)
        return EXIT_USAGE
    if what != "-" and not os.path.lexists(what):
        return _session(site, what, options)
    try:
        data = sys.stdin.buffer.read(LIMIT) if what == "-" else atomicfile.read_bounded(what, LIMIT)
    except (OSError, ValueError) as error:
        log.error("cannot read %s: %s", "stdin" if what == "-" else what, getattr(error, "strerror", None) or error)
        return EXIT_FAILED
    text = Text("stdin" if what == "-" else what, data.decode(errors="replace").replace("\r\n", "\n"), options.title)
    return _text(site, text, now, options)


# --- a text ----------------------------------------------------------------------------------------------------------


def _text(site: Installation, text: Text, now: datetime, options: argparse.Namespace) -> int:
    told = registry.of_the_pool(site.config).explain(text.text, text.title, site.config.quota)
    what = consequence(site.config, told.reading, now, machine_zone(os.environ))
    if options.json:
        facts = {"finding": what.finding, "needed": what.needed, "decision": what.decision, "confirmed": what.confirmed}
        _json([(text, told)], facts)
    else:
        out = installation.paper()
        _print(text, told, out)
        _reading(told.reading, what.finding, now, out)
        out.fact("Consequence", in_words(what))
    return _save([text], options, site)


# --- a session -------------------------------------------------------------------------------------------------------


def _session(site: Installation, name: str, options: argparse.Namespace) -> int:
    now = installation.now()
    seen = snapshot(site, now)
    session = None if seen.observation is None else next((s for s in seen.observation.sessions if s.name == name), None)
    if session is None or seen.observation is None or seen.findings is None:
        return _not_found(name, seen)
    finding = next(f for f in seen.findings if f.name == name)
    agent, told = registry.of_the_pool(site.config), []
    for pane in session.panes:
        if pane.text is None:
            continue
        reading = seen.observation.readings.get(pane.pane_id)
        recorded = reading if reading is not None and reading.evidence is Evidence.TRANSCRIPT else None
        text = Text(f"{name} {pane.pane_id}", pane.text, pane.title, recorded)
        told.append((text, agent.explain(pane.text, pane.title, site.config.quota)))
    decision = seen.decision
    if options.json:
        _json(told, {"finding": finding, "decision": decision})
    else:
        out = installation.paper()
        for text, pane_told in told:
            _print(text, pane_told, out)
            _reading(pane_told.reading, finding, now, out)
            if text.record:
                out.fact("Records", f"{text.record.kind} (overrides the screen): {_rule(text.record)}")
        if finding.error:
            out.fact("Unreadable", finding.error, "warn")
        _memory(finding, out)
        if decision:
            out.fact("A check now", would(next_of(seen.state, decision)))
    return _save([text for text, _ in told], options, site)


def _not_found(name: str, seen: Snapshot) -> int:
    if seen.observation is None:
        log.error("no file named '%s', and %s", name, seen.notes[-1])
        return EXIT_FAILED
    sessions = [s.name for s in seen.observation.sessions]
    known = up_to(10, sessions)
    log.error("no file or watched session named '%s' (sessions: %s)", name, known or "none")
    return EXIT_FAILED


def _memory(finding: Finding, out: Terminal) -> None:
    """Print what the state adds: whether the hit counts."""
    if not finding.blocked:
        return
    since = f"first seen {stamp(finding.first_seen)}" if finding.first_seen else ""
    whose = f"account {finding.account}" if finding.account else ""
    verdict = "counts" if finding.counted else f"not counted: {finding.why_not}"
    out.fact("This session", "; ".join(filter(None, (verdict, whose, since))), "bad" if finding.counted else "warn")


# --- printed ---------------------------------------------------------------------------------------------------------


def _print(text: Text, told: Explanation, out: Terminal) -> None:
    kind = "the agent's screen" if told.structured else "plain text, each line is a block"
    out.say(out.style(printable(f"{text.name}: {kind}{', busy' if told.busy else ''}"), "bold"))
    width = out.width if out.interactive else 0
    digits = len(str(len(told.lines)))
    for line in told.lines:
        label = "" if line.part == CHROME else line.part if line.first or line.part == MENU else ""
        head = f"{line.number:>{digits}} {label:<8}│ "
        body = printable(line.text)
        body = elided(body, max(1, width - len(head))) if width else body
        _line(line, head, body, digits, out)


def _line(line: ExplainedLine, head: str, body: str, digits: int, out: Terminal) -> None:
    if line.fired:
        out.say(out.style(head, "bold") + out.style(body, "bad"))
    elif line.examined:
        out.say(out.style(head, "dim") + body)
    else:
        out.say(out.style((head + body).rstrip(), "dim"))
    if line.why and (line.examined or line.fired or line.part == "prompt"):
        pointer = " " * digits + " " * 9 + "└ "
        out.say(out.style(f"{pointer}{line.why}{'  ◂ decides' if line.fired else ''}", "bad" if line.fired else "dim"))


def _rule(reading: Reading) -> str:
    parts = [reading.rule, str(reading.limit or ""), f"“{reading.snippet}”" if reading.snippet else ""]
    return ", ".join(filter(None, parts)) or "no rule matched"


def _reading(reading: Reading, finding: Finding, now: datetime, out: Terminal) -> None:
    out.say()
    style = STYLES.get(reading.kind, "bad")
    limit = f", limit {reading.limit}" if reading.limit else ""
    out.fact("Kind", f"{reading.kind}{limit} (by {reading.evidence}{', busy' if reading.busy else ''})", style)
    if reading.rule:
        words = f", on “{reading.pattern}”" if reading.pattern else ""
        out.fact("Rule", f"{reading.rule}{words}")
    if reading.snippet:
        out.fact("Message", reading.snippet)
    if reading.reset_text:
        at = finding.resets_at
        left = (at - now).total_seconds() if at else 0.0
        when = (
            f"{stamp(at)}, {f'in {span(left)}' if left > 0 else f'{span(-left)} ago'}"
            if at
            else "cannot be resolved to a time"
        )
        out.fact("Reset", f"“{reading.reset_text}”: {when}", "" if at else "warn")
    elif reading.kind in {Kind.QUOTA, Kind.BILLING}:
        out.fact("Reset", "unknown; two checks in a row must see such a hit")


def _json(panes: list[tuple[Text, Explanation]], facts: Mapping[str, Any]) -> None:
    rows = [
        {
            "source": text.name,
            "structured": told.structured,
            "busy": told.busy,
            "prompt": told.prompt,
            "draft": told.draft,
            "reading": told.reading,
            "record": text.record,
            "lines": told.lines,
        }
        for text, told in panes
    ]
    installation.paper().say(msgspec.json.encode({"version": 1, "panes": rows, **facts}).decode())


# --- saved ----------------------------------------------------------------------------------------------------------


def _save(texts: list[Text], options: argparse.Namespace, site: Installation) -> int:
    """Save each text to its own file; an existing file is never replaced."""
    if options.save is None:
        return 0
    folder = Path(options.save)
    home = os.environ.get("HOME", "")
    for text in texts:
        clean = scrub(text.text.rstrip("\n"), [home])
        lines = clean.split("\n")
        size = f"{max(map(len, lines))}x{len(lines)}"
        stem = "".join(c if c.isalnum() or c in "-_" else "-" for c in Path(text.name).stem).strip("-") or "screen"
        path = folder / f"{stem}-{size}.txt"
        number = 1
        while os.path.lexists(path):
            number += 1
            path = folder / f"{stem}-{size}-{number}.txt"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            atomicfile.write_atomic(path, f"{clean}\n".encode())
        except (OSError, ValueError) as error:
            log.error("cannot write %s: %s", path, getattr(error, "strerror", None) or error)
            return EXIT_FAILED
        agent = registry.of_the_pool(site.config)
        before, after = (agent.classify(t, text.title, site.config.quota) for t in (text.text, clean))
        if (before.kind, before.rule) != (after.kind, after.rule):
            log.warning("the saved text, without its secrets, reads as %s instead of %s", after.kind, before.kind)
        if not options.json:
            out = installation.paper()
            out.say()
            out.fact("Saved as", f"{path}; check it for private data before you share it")
    return 0
