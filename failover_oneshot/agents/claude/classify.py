"""Reads a pane of Claude Code: kind, limit, evidence and deciding rule (docs/detection.md). Pure: no clock or state."""

import re
from collections.abc import Sequence
from typing import Final

from failover_oneshot.agents import plain
from failover_oneshot.agents.claude.screen import Block, BlockMark, Screen, parse
from failover_oneshot.agents.claude.wordings import (
    GOES_ON,
    is_hint,
    limit_of,
    match,
    without_hints,
)
from failover_oneshot.agents.plain import DAEMON, EXTRA, SNIPPET, VETO, Rule, Wording
from failover_oneshot.config.model import Quota
from failover_oneshot.detection.identity import screen_identity
from failover_oneshot.detection.text import normalise
from failover_oneshot.model import Evidence, Kind, Limit, Reading

HITS: Final = (Kind.QUOTA, Kind.BILLING, Kind.AUTH)

# Rules that are not rows of the table of wordings.
STATUS: Final = Rule("quota.status", Kind.QUOTA)
MENU: Final = Rule("quota.menu", Kind.QUOTA)

_STATUS_HIT: Final = re.compile(r"⚠ (usage limit reached\b.{0,120})")


def classify(text: str, title: str, quota: Quota) -> Reading:
    """The reading of one pane's visible text. Every text has one; never raises."""
    screen = parse(text, title)
    if not screen.structured:
        return _plain(screen, quota)
    if screen.busy:
        return _busy(screen)
    examined = tail(screen, quota)
    found = _chrome(screen) or _turn(screen, examined, quota) or _warning(screen, examined)
    if found is not None:
        return found
    worked = {BlockMark.SPEECH, BlockMark.TOOL, BlockMark.OUTPUT, BlockMark.ANSWER, BlockMark.SPINNER}
    return Reading(kind=Kind.OK, evidence=Evidence.SCREEN, moved_on=any(b.mark in worked for b in screen.turn))


def tail(screen: Screen, quota: Quota) -> list[Block]:
    """The blocks of the current turn to examine, oldest first: the last ``tail_lines`` of them.

    Spinners, closing lines and hints of Claude Code are included but not counted.
    """
    found: list[Block] = []
    counted = 0
    for block in reversed(screen.turn):
        if block.mark in {BlockMark.NOTICE, BlockMark.PROMPT, BlockMark.TODO}:
            continue
        counted += block.mark is not BlockMark.SPINNER and not is_hint(block.normalised)
        if counted > quota.tail_lines:
            break
        found.append(block)
    return found[::-1]


def _busy(screen: Screen) -> Reading:
    """The reading of a busy agent: never blocked, whatever is above. While it retries, the error is reported."""
    retrying = False
    for block in reversed(screen.turn):
        retrying = retrying or "retrying" in block.normalised
        found = match(block.normalised) if retrying and block.mark is not BlockMark.OUTPUT else None
        if found and found[0].kind is Kind.SERVER_ERROR:
            return _reading(screen, found[0], block.text, pattern=found[1], busy=True)
    return Reading(kind=Kind.OK, evidence=Evidence.SCREEN, busy=True, moved_on=True)


def _chrome(screen: Screen) -> Reading | None:
    """The reading of the limit menu or the alert below the box. Both show the present state."""
    if screen.menu and "wait for limit to reset" in normalise(screen.menu):
        return _reading(screen, MENU, _message(screen) or screen.menu, pattern="wait for limit to reset")
    status = _STATUS_HIT.search(normalise(" ".join(screen.status)))
    if status:
        line = status[1].partition(" continuing automatically")[0].strip(" ·")
        return _reading(screen, STATUS, _message(screen) or line, pattern="usage limit reached")
    return None


def _turn(screen: Screen, examined: Sequence[Block], quota: Quota) -> Reading | None:
    """The reading of the newest decisive block; None when the turn continues or ended well."""
    closed = False
    for block in reversed(examined):
        if block.mark is BlockMark.TOOL:
            return None
        closed = closed or block.closes
        text = block.normalised
        if block.mark in {BlockMark.SPINNER, BlockMark.OUTPUT} or is_hint(text):
            continue
        found: tuple[Wording, str] | None = match(text)
        if found is None:
            found = _by_pattern(block, quota)
        if found is None:
            if block.mark is BlockMark.SPEECH:
                return None  # the assistant continued
            continue
        row, words = found
        if row.kind is Kind.OK or row.name in GOES_ON:
            return None
        # Some versions close a turn that hit a limit like any other; only the hint below the message shows the limit.
        if closed and row.kind is Kind.QUOTA and without_hints(text) == text:
            return None
        if row.kind is Kind.QUOTA and plain.vetoes(text, quota) and not row.typed:
            return _reading(screen, VETO, block.text, pattern=words)
        if row.kind is not Kind.WARNING:
            message = _message(screen) if row.kind is Kind.QUOTA else None
            return _reading(screen, row, message or block.text, pattern=words)
    return None


def _by_pattern(block: Block, quota: Quota) -> tuple[Wording, str] | None:
    """The daemon's patterns at the start of a message, the operator's anywhere in a block."""
    text = block.normalised
    if block.mark in {BlockMark.ANSWER, BlockMark.TEXT, BlockMark.ALERT}:
        words = next(
            (p for p in plain.QUOTA if text.startswith(p) or (block.mark is BlockMark.TEXT and p in text)), None
        )
        if words:
            return DAEMON, words
        if any(text.startswith(p) for p in plain.SERVER_ERROR):
            return VETO, text[:40]
    words = plain.operators_pattern(text, quota.extra_patterns)
    return (EXTRA, words) if words else None


def _message(screen: Screen) -> str | None:
    """The message of a hit in this turn, rather than the notices about waiting that follow it."""
    notice = None
    for block in reversed(screen.turn):
        found = match(block.normalised) if block.mark not in {BlockMark.OUTPUT, BlockMark.TOOL} else None
        if found and found[0].kind is Kind.QUOTA:
            if not block.normalised.startswith(("usage limit reached", "automatic continue")):
                return block.text
            notice = notice or block.text
    return notice


def _warning(screen: Screen, examined: Sequence[Block]) -> Reading | None:
    """The reading of a notice that a limit is near, below the box or in the turn."""
    status = [part.lstrip("⚠ ") for line in screen.status for part in line.split("  ")]
    texts = [(text, normalise(text)) for text in (*status, " ".join(screen.status))]
    texts += [(b.text, b.normalised) for b in examined if b.mark not in {BlockMark.OUTPUT, BlockMark.TOOL}]
    for text, normalised in texts:
        found = match(normalised)
        if found and found[0].kind is Kind.WARNING:
            return _reading(screen, found[0], text, pattern=found[1])
    return None


def _plain(screen: Screen, quota: Quota) -> Reading:
    """The reading of a pane without glyphs: our table at the start of a line, then the daemon's rule."""
    found = plain.find(screen.lines, quota, match)
    if found is None:
        return Reading(kind=Kind.OK, evidence=Evidence.TEXT)
    return _reading(screen, found.rule, found.message, pattern=found.words, evidence=Evidence.TEXT, line=found.line)


def _reading(
    screen: Screen,
    row: Wording,
    message: str,
    *,
    pattern: str | None = None,
    busy: bool = False,
    evidence: Evidence = Evidence.SCREEN,
    line: str | None = None,
) -> Reading:
    """The reading for a row. ``line`` is the part of ``message`` to show; None: all of it."""
    if row.kind is Kind.OK:
        return Reading(kind=Kind.OK, evidence=evidence, rule=row.name)
    # Imported here: a check without hits needs neither.
    from failover_oneshot.detection import resets
    from failover_oneshot.lib.redact import redact

    is_limit = row.kind in {Kind.QUOTA, Kind.WARNING}
    message = without_hints(" ".join(message.split()))
    reset = resets.extract(message) if is_limit else None
    shown = " ".join((line or message).split())
    words = normalise(shown)
    limit = limit_of(words) if is_limit else None
    # The notices about waiting name no limit. A bare clock time most likely means the 5-hour limit, but a guess must
    # not decide how that time is read.
    guess = words.startswith("usage limit reached") and limit is Limit.UNKNOWN and _bare_clock(reset)
    return Reading(
        kind=row.kind,
        evidence=evidence,
        limit=Limit.FIVE_HOUR if guess else limit,
        limit_is_guess=guess,
        rule=row.name,
        pattern=pattern,
        snippet=redact(shown)[:SNIPPET] or None,
        reset_text=reset,
        identity=screen_identity(_clock(reset) or words, normalise(screen.prompt)) if row.kind in HITS else "",
        busy=busy,
    )


def _clock(reset: str | None) -> str:
    """The reset without its time zone, because the same hit is shown with and without it."""
    return normalise(reset or "").partition("(")[0].strip()


def _bare_clock(reset: str | None) -> bool:
    return reset is not None and re.match(r"\d{1,2}(?::\d\d)? ?[ap]m\b", reset, re.IGNORECASE) is not None
