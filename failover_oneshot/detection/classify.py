"""What a pane shows: kind, limit, evidence and the rule that fired (docs/detection.md). Pure: no clock, no state."""

import re
from collections.abc import Sequence
from typing import Final

from failover_oneshot.config.model import Quota, pattern_regex
from failover_oneshot.detection.screen import Block, Mark, Screen, parse
from failover_oneshot.detection.wordings import (
    DAEMON_QUOTA,
    DAEMON_SERVER_ERROR,
    GOES_ON,
    Row,
    asides,
    limit_of,
    match,
    normalise,
    without_hints,
)
from failover_oneshot.model import Evidence, Kind, Limit, Reading

SNIPPET: Final = 120
HITS: Final = (Kind.QUOTA, Kind.BILLING, Kind.AUTH)

# The rules that are no row of the table.
DAEMON: Final = Row("quota.daemon", Kind.QUOTA)
EXTRA: Final = Row("quota.extra", Kind.QUOTA)
STATUS: Final = Row("quota.status", Kind.QUOTA)
MENU: Final = Row("quota.menu", Kind.QUOTA)
VETO: Final = Row("error.veto", Kind.SERVER_ERROR)

_STATUS_HIT: Final = re.compile(r"⚠ (usage limit reached\b.{0,120})")


def classify(text: str, title: str, quota: Quota) -> Reading:
    """The reading of one pane's visible text. Any text has one; nothing raises."""
    screen = parse(text, title)
    if not screen.structured:
        return _plain(screen, quota)
    if screen.busy:
        return _busy(screen)
    found = _chrome(screen) or _turn(screen, quota) or _warning(screen, quota)
    if found is not None:
        return found
    worked = {Mark.SPEECH, Mark.TOOL, Mark.OUTPUT, Mark.ANSWER, Mark.SPINNER}
    return Reading(kind=Kind.OK, evidence=Evidence.SCREEN, moved_on=any(b.mark in worked for b in screen.turn))


def tail(screen: Screen, quota: Quota) -> list[Block]:
    """The blocks of the current turn that are examined, the oldest first: for `explain`."""
    return _tail(screen.turn, quota)


def _busy(screen: Screen) -> Reading:
    """A busy client is not blocked, whatever stands above; while it retries, the error is told."""
    retrying = False
    for block in reversed(screen.turn):
        text = normalise(block.text)
        retrying = retrying or "retrying" in text
        found = match(text) if retrying and block.mark is not Mark.OUTPUT else None
        if found and found[0].kind is Kind.SERVER_ERROR:
            return _reading(screen, found[0], block.text, pattern=found[1], busy=True)
    return Reading(kind=Kind.OK, evidence=Evidence.SCREEN, busy=True, moved_on=True)


def _chrome(screen: Screen) -> Reading | None:
    """The menu in place of the box, or the client's own alert below it: both are its present state."""
    if screen.menu and "wait for limit to reset" in normalise(screen.menu):
        return _reading(screen, MENU, _message(screen) or screen.menu, pattern="wait for limit to reset")
    status = _STATUS_HIT.search(normalise(" ".join(screen.status)))
    if status:
        line = status[1].partition(" continuing automatically")[0].strip(" ·")
        return _reading(screen, STATUS, _message(screen) or line, pattern="usage limit reached")
    return None


def _turn(screen: Screen, quota: Quota) -> Reading | None:
    """The newest decisive block in the tail of the current turn; None when the turn goes on or went well."""
    closed = False
    for block in reversed(_tail(screen.turn, quota)):
        if block.mark is Mark.TOOL:
            return None
        closed = closed or block.closes
        text = normalise(block.text)
        if block.mark in {Mark.SPINNER, Mark.OUTPUT} or asides(text):
            continue
        found = match(text)
        if found is None:
            found = _by_pattern(block, text, quota)
        if found is None:
            if block.mark is Mark.SPEECH:
                return None  # the assistant went on
            continue
        row, words = found
        if row.kind is Kind.OK or row.name in GOES_ON:
            return None
        # Some versions close a turn that met a limit like any other; only the client's hint below the message tells.
        if closed and row.kind is Kind.QUOTA and without_hints(text) == text:
            return None
        if row.kind is Kind.QUOTA and _vetoed(text, quota) and not row.typed:
            return _reading(screen, VETO, block.text, pattern=words)
        if row.kind is not Kind.WARNING:
            message = _message(screen) if row.kind is Kind.QUOTA else None
            return _reading(screen, row, message or block.text, pattern=words)
    return None


def _tail(turn: Sequence[Block], quota: Quota) -> list[Block]:
    """The last ``tail_lines`` blocks, where spinners, closing lines and the client's asides are not counted."""
    tail: list[Block] = []
    counted = 0
    for block in reversed(turn):
        if block.mark in {Mark.NOTICE, Mark.PROMPT, Mark.TODO}:
            continue
        counts = block.mark is not Mark.SPINNER and not asides(normalise(block.text))
        counted += counts
        if counted > quota.tail_lines:
            break
        tail.append(block)
    return tail[::-1]


def _by_pattern(block: Block, text: str, quota: Quota) -> tuple[Row, str] | None:
    """The daemon's patterns where a message of the client begins, the operator's anywhere in a block."""
    if block.mark in {Mark.ANSWER, Mark.TEXT, Mark.ALERT}:
        words = next((p for p in DAEMON_QUOTA if text.startswith(p) or (block.mark is Mark.TEXT and p in text)), None)
        if words:
            return DAEMON, words
        if any(text.startswith(p) for p in DAEMON_SERVER_ERROR):
            return VETO, text[:40]
    words = _extra(text, quota.extra_patterns)
    return (EXTRA, words) if words else None


def _extra(text: str, patterns: Sequence[str]) -> str | None:
    """The first of the operator's patterns that occurs in the text."""
    for pattern in patterns:
        regex = pattern_regex(pattern)
        if re.search(regex, text, re.IGNORECASE) if regex is not None else normalise(pattern) in text:
            return pattern
    return None


def _vetoed(text: str, quota: Quota) -> bool:
    return (
        "not your usage limit" in text
        or any(pattern in text for pattern in DAEMON_SERVER_ERROR)
        or _extra(text, quota.extra_server_error_patterns) is not None
    )


def _message(screen: Screen) -> str | None:
    """The client's own message of a hit in this turn, rather than the notices about waiting that follow it."""
    notice = None
    for block in reversed(screen.turn):
        text = normalise(block.text)
        found = match(text) if block.mark not in {Mark.OUTPUT, Mark.TOOL} else None
        if found and found[0].kind is Kind.QUOTA:
            if not text.startswith(("usage limit reached", "automatic continue")):
                return block.text
            notice = notice or block.text
    return notice


def _warning(screen: Screen, quota: Quota) -> Reading | None:
    """A notice that a limit is near, below the box or in the tail."""
    tail = [b.text for b in _tail(screen.turn, quota) if b.mark not in {Mark.OUTPUT, Mark.TOOL}]
    status = [part.lstrip("⚠ ") for line in screen.status for part in line.split("  ")]
    for text in (*status, " ".join(screen.status), *tail):
        found = match(normalise(text))
        if found and found[0].kind is Kind.WARNING:
            return _reading(screen, found[0], text, pattern=found[1])
    return None


def _plain(screen: Screen, quota: Quota) -> Reading:
    """No glyph: one block per line, the daemon's rule as it stands; our own table at the head of a line."""
    tail = screen.lines[-quota.tail_lines :]
    texts = [normalise(line) for line in tail]
    vetoed = any(_vetoed(text, quota) for text in texts)
    best: Reading | None = None
    for number in range(len(texts) - 1, -1, -1):
        # A message may go on in the next line; only what is said of the reset is taken from there.
        message = " ".join(tail[number : number + 3])
        found = match(texts[number])
        if found is None and not vetoed:
            words = next((p for p in DAEMON_QUOTA if p in texts[number]), None)
            extra = _extra(texts[number], quota.extra_patterns)
            found = (DAEMON, words) if words else (EXTRA, extra) if extra else None
        if found is None or (found[0].kind is Kind.QUOTA and vetoed and not found[0].typed):
            continue
        reading = _reading(screen, found[0], message, pattern=found[1], evidence=Evidence.TEXT, line=tail[number])
        if reading.kind is Kind.QUOTA:
            return reading
        best = best or reading
    if best is None and vetoed:
        best = _reading(screen, VETO, " ".join(tail), evidence=Evidence.TEXT)
    return best or Reading(kind=Kind.OK, evidence=Evidence.TEXT)


def _reading(
    screen: Screen,
    row: Row,
    message: str,
    *,
    pattern: str | None = None,
    busy: bool = False,
    evidence: Evidence = Evidence.SCREEN,
    line: str | None = None,
) -> Reading:
    """The reading for a row. ``line``: the part of ``message`` that is shown, when that is not all of it."""
    if row.kind is Kind.OK:
        return Reading(kind=Kind.OK, evidence=evidence, rule=row.name)
    # Imported here: a healthy fleet's check needs neither.
    from failover_oneshot.detection import resets
    from failover_oneshot.lib.redact import redact

    told = row.kind in {Kind.QUOTA, Kind.WARNING}
    message = without_hints(" ".join(message.split()))
    reset = resets.extract(message) if told else None
    shown = " ".join((line or message).split())
    limit = limit_of(normalise(shown)) if told else None
    # The notices about waiting name no limit. With a bare clock it is most likely the 5-hour one; a guess must not
    # decide how that clock is read.
    guess = normalise(shown).startswith("usage limit reached") and limit is Limit.UNKNOWN and _bare_clock(reset)
    return Reading(
        kind=row.kind,
        evidence=evidence,
        limit=Limit.FIVE_HOUR if guess else limit,
        limit_is_guess=guess,
        rule=row.name,
        pattern=pattern,
        snippet=redact(shown)[:SNIPPET] or None,
        reset_text=reset,
        identity=_identity(shown, reset, screen.prompt) if row.kind in HITS else "",
        busy=busy,
    )


def _bare_clock(reset: str | None) -> bool:
    return reset is not None and re.match(r"\d{1,2}(?::\d\d)? ?[ap]m\b", reset, re.IGNORECASE) is not None


def _identity(message: str, reset: str | None, prompt: str) -> str:
    """What a hit is known by when it is seen again: its reset, else its words, and the prompt that began its turn.

    The same hit is worded differently in the conversation, in the status area and in the menu; its reset is not.
    """
    clock = normalise(reset or "").partition("(")[0].strip()
    return f"screen:{_hash(clock or normalise(message))}:{_hash(normalise(prompt)) if prompt else '-'}"


def _hash(text: str) -> str:
    from hashlib import sha256

    return sha256(text.encode("utf-8", "replace")).hexdigest()[:12]


def same_hit(a: str, b: str) -> bool:
    """Whether two identities are of one hit. In doubt yes: only another reset or another prompt proves another hit.

    A screen's identity and a transcript's are never the same; the caller compares their times.
    """
    if a == b:
        return True
    one, other = a.split(":"), b.split(":")
    if len(one) != 3 or len(other) != 3 or {one[0], other[0]} != {"screen"}:
        return False
    return one[1] == other[1] and ("-" in {one[2], other[2]} or one[2] == other[2])
