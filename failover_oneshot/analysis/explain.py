"""Why a text is classified as it is: its lines and blocks, what each is taken for, and the rule that decided. Pure."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from failover_oneshot.config.model import Account, Config, Quota, pattern_regex
from failover_oneshot.decision.pipeline import Assessment, assess
from failover_oneshot.decision.rules import Decision
from failover_oneshot.detection.classify import classify, tail
from failover_oneshot.detection.screen import Block, Mark, Screen, parse
from failover_oneshot.detection.wordings import asides, match, normalise
from failover_oneshot.model import Finding, Kind, Observation, Pane, Reading, Role, Session
from failover_oneshot.state.model import State

CHROME: Final = "chrome"  # the input box, the status area, rules, blanks
MENU: Final = "menu"


class Line(Struct, frozen=True, kw_only=True):
    """One line of the pane."""

    number: int  # from 1
    text: str
    part: str  # "chrome", "menu", or the mark of its block
    examined: bool  # whether it is looked at for a hit
    first: bool = False  # the first line of its block
    why: str | None = None  # at a block's first line: what becomes of the block
    fired: bool = False  # the rule that decided stands here


class Explanation(Struct, frozen=True, kw_only=True):
    """One pane's text, explained."""

    lines: tuple[Line, ...]
    structured: bool
    busy: bool
    prompt: str
    draft: str
    reading: Reading  # what the screen says


def explain(text: str, title: str, quota: Quota) -> Explanation:
    """The text as a check sees it."""
    screen, reading = parse(text, title), classify(text, title, quota)
    lines = text.split("\n")
    while lines and not lines[-1].strip():
        lines.pop()
    told = _structured(lines, screen, reading, quota) if screen.structured else _plain(lines, reading, quota)
    return Explanation(
        lines=tuple(told),
        structured=screen.structured,
        busy=screen.busy,
        prompt=screen.prompt,
        draft=screen.draft,
        reading=reading,
    )


def _structured(lines: Sequence[str], screen: Screen, reading: Reading, quota: Quota) -> list[Line]:
    examined = {block.line for block in tail(screen, quota)} if not screen.busy else set[int]()
    turn = {block.line for block in screen.turn}
    fired = _fired(screen, reading, quota)
    told = []
    owner: Block | None = None
    beside = fired is None and reading.rule.startswith(("quota.status", "warning."))  # a status line decided
    blocks = {block.line: block for block in screen.blocks}
    for number, text in enumerate(lines):
        bare = " ".join(text.replace("\xa0", " ").split())
        first = number in blocks
        owner = blocks.get(number, owner)
        if not first and bare and (owner is None or bare not in owner.text):
            owner = None  # the block is over: what follows it is chrome
        if owner is None or not bare:
            menu = bool(bare) and screen.menu is not None and bare in screen.menu
            status = beside and _says(bare, reading)
            beside = beside and not status
            wait = menu and reading.rule == "quota.menu" and "wait for limit to reset" in normalise(bare)
            told.append(
                Line(
                    number=number + 1,
                    text=text.rstrip(),
                    part=MENU if menu else CHROME,
                    examined=menu or status,
                    first=status or wait,
                    why=f"{reading.rule}: {reading.kind}" if status or wait else None,
                    fired=status or wait,
                )
            )
            continue
        told.append(
            Line(
                number=number + 1,
                text=text.rstrip(),
                part=owner.mark,
                examined=owner.line in examined,
                first=first,
                why=_why(owner, owner.line in examined, owner.line in turn, screen, quota) if first else None,
                fired=first and owner.line == fired,
            )
        )
    return told


def _says(bare: str, reading: Reading) -> bool:
    """Whether a status line holds the words of the rule."""
    return bool(reading.pattern) and str(reading.pattern) in normalise(bare.lstrip("⚠ "))


def _fired(screen: Screen, reading: Reading, quota: Quota) -> int | None:
    """The first line of the block that decided; None when it was no block."""
    if not reading.rule or reading.rule in {"quota.menu", "quota.status"}:
        return None
    blocks = screen.turn if screen.busy else tail(screen, quota)
    for block in reversed(blocks):
        text = normalise(block.text)
        found = match(text)
        if found and found[0].name == reading.rule:
            return block.line
        if reading.rule in {"quota.daemon", "quota.extra", "error.veto"} and reading.pattern:
            regex = pattern_regex(reading.pattern)
            if normalise(reading.pattern) in text or (regex is not None and reading.rule == "quota.extra"):
                return block.line
    return None


def _why(block: Block, examined: bool, in_turn: bool, screen: Screen, quota: Quota) -> str:
    """What becomes of a block, in a few words."""
    text = normalise(block.text)
    found = match(text)
    rule = f"{found[0].name}: {found[0].kind}" if found else "no rule fits"
    if screen.busy and block.mark is not Mark.SPINNER:
        return "the client works: nothing above blocks it"
    if block.mark is Mark.PROMPT:
        return "the prompt: the current turn begins below it" if block.text == screen.prompt else "an earlier prompt"
    if not in_turn:
        return "an earlier turn"
    if block.closes:
        return "the turn ended well: nothing above it counts"
    if block.mark is Mark.TOOL:
        return "a tool call: the turn went on"
    if block.mark is Mark.OUTPUT:
        return "what a tool printed is never a hit"
    if block.mark is Mark.NOTICE:
        return "a notice is never a hit"
    if block.mark is Mark.SPINNER:
        return rule if found else "work in progress"
    if asides(text):
        return "an aside: neither a hit nor the end of one"
    if not examined:
        return f"above the last {quota.tail_lines} blocks (quota.tail_lines)"
    return rule


def _plain(lines: Sequence[str], reading: Reading, quota: Quota) -> list[Line]:
    """Without structure: each of the last `tail_lines` lines that are not empty is a block."""
    filled = [number for number, text in enumerate(lines) if text.strip()]
    examined = set(filled[-quota.tail_lines :])
    words = normalise(reading.snippet or "")
    told = []
    done = False
    for number, text in reversed(list(enumerate(lines))):
        bare = normalise(text)
        looked = number in examined
        fired = looked and not done and bool(reading.rule and bare) and (words.startswith(bare[:60]) or bare in words)
        done = done or fired
        found = match(bare) if looked else None
        why = (f"{found[0].name}: {found[0].kind}" if found else "no rule fits") if looked else None
        if looked and fired and found is None:
            why = f"{reading.rule}: {reading.kind}"
        told.append(
            Line(
                number=number + 1, text=text.rstrip(), part=Mark.TEXT, examined=looked, first=True, why=why, fired=fired
            )
        )
    return told[::-1]


# --- what would happen ---------------------------------------------------------------------------------------------


class Consequence(Struct, frozen=True, kw_only=True):
    """What a check would make of sessions that show this."""

    finding: Finding
    needed: int  # so many sessions of the pool have to show it
    decision: Decision  # of the check that first sees so many
    confirmed: Decision | None  # of the next check, where the first one only suspects


def consequence(config: Config, reading: Reading, now: datetime, zone: str) -> Consequence:
    """The rules applied to as many sessions of the pool as the threshold asks for, all showing the same.

    Nothing is remembered of before, and there is an account to swap to.
    """
    if len(config.accounts) < 2:
        config = replace(config, accounts=(Account(name="the active account"), Account(name="the next account")))
    config = replace(config, accounts=tuple(replace(a, enabled=True) for a in config.accounts))
    needed = config.quota.pool_threshold
    names = [f"{config.pool.autonomous.prefix}{config.pool.autonomous.start_index + n}" for n in range(needed)]
    sessions = tuple(
        Session(name=name, role=Role.POOL, index=n, session_id=f"${n}", panes=(Pane(pane_id=f"%{n}", pid=n + 1),))
        for n, name in enumerate(names)
    )
    readings = {f"%{n}": reading for n in range(needed)}
    state = State(active_account=config.accounts[0].name)

    def at(when: datetime, known: State) -> Assessment:
        observation = Observation(at=when, server_running=True, sessions=sessions, readings=readings, zone=zone)
        return assess(config, known, when, lambda state: (state, observation))

    first = at(now, state)
    confirmed = None
    if first.decision.suspected_hit_at is not None:
        later = now + timedelta(seconds=config.quota.poll_interval)
        confirmed = at(later, replace(state, suspected_hit_at=first.decision.suspected_hit_at)).decision
    return Consequence(finding=first.findings[0], needed=needed, decision=first.decision, confirmed=confirmed)


def in_words(what: Consequence) -> str:
    """The consequence as a sentence."""
    finding = what.finding
    if finding.kind in {Kind.OK, Kind.WARNING, Kind.SERVER_ERROR, Kind.UNREADABLE} and not finding.blocked:
        return f"a session that shows this is not blocked ({finding.kind}): no check swaps for it"
    if finding.busy:
        return "the client is busy: a session that shows this is not blocked"
    if not finding.blocked:
        return f"{finding.kind} is not in quota.swap_on: it is reported, and no check swaps for it"
    if not finding.counted:
        return f"a session that shows this is blocked, but does not count: it {finding.why_not}"
    many = f"{what.needed} such sessions of the pool (quota.pool_threshold)" if what.needed > 1 else "one such session"
    if what.confirmed is not None:
        return f"{many}: the first check suspects a hit, and the next one in a row ends as {what.confirmed.outcome}"
    return f"{many}: the check ends as {what.decision.outcome}"
