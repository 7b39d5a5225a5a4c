"""Explains a reading: how each line and block was read, and which rule decided. Pure."""

from collections.abc import Sequence

from failover_oneshot.agents.base import CHROME, MENU, ExplainedLine, Explanation
from failover_oneshot.agents.claude.classify import classify, tail
from failover_oneshot.agents.claude.screen import Block, BlockMark, Screen, parse
from failover_oneshot.agents.claude.wordings import is_hint, match
from failover_oneshot.config.model import Quota
from failover_oneshot.config.values import pattern_regex
from failover_oneshot.detection.text import normalise
from failover_oneshot.model import Reading


def explain(text: str, title: str, quota: Quota) -> Explanation:
    """The reading of a pane's visible text, with a reason for each line."""
    screen, reading = parse(text, title), classify(text, title, quota)
    lines = text.split("\n")
    while lines and not lines[-1].strip():
        lines.pop()
    explained = _structured(lines, screen, reading, quota) if screen.structured else _plain(lines, reading, quota)
    return Explanation(
        lines=tuple(explained),
        structured=screen.structured,
        busy=screen.busy,
        prompt=screen.prompt,
        draft=screen.draft,
        reading=reading,
    )


def _structured(lines: Sequence[str], screen: Screen, reading: Reading, quota: Quota) -> list[ExplainedLine]:
    examined = {block.line for block in tail(screen, quota)} if not screen.busy else set[int]()
    turn = {block.line for block in screen.turn}
    fired = _fired(screen, reading, quota)
    explained = []
    owner: Block | None = None
    beside = fired is None and reading.rule.startswith(("quota.status", "warning."))  # a status line decided
    blocks = {block.line: block for block in screen.blocks}
    for number, text in enumerate(lines):
        bare = " ".join(text.replace("\xa0", " ").split())
        first = number in blocks
        owner = blocks.get(number, owner)
        if not first and bare and (owner is None or bare not in owner.text):
            owner = None  # the block has ended; what follows is chrome
        if owner is None or not bare:
            menu = bool(bare) and screen.menu is not None and bare in screen.menu
            status = beside and _says(bare, reading)
            beside = beside and not status
            wait = menu and reading.rule == "quota.menu" and "wait for limit to reset" in normalise(bare)
            explained.append(
                ExplainedLine(
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
        explained.append(
            ExplainedLine(
                number=number + 1,
                text=text.rstrip(),
                part=owner.mark,
                examined=owner.line in examined,
                first=first,
                why=_why(owner, owner.line in examined, owner.line in turn, screen, quota) if first else None,
                fired=first and owner.line == fired,
            )
        )
    return explained


def _says(bare: str, reading: Reading) -> bool:
    """Whether a status line contains the words that the rule matched."""
    return bool(reading.pattern) and str(reading.pattern) in normalise(bare.lstrip("⚠ "))


def _fired(screen: Screen, reading: Reading, quota: Quota) -> int | None:
    """The first line of the block that decided; None if no block did."""
    if not reading.rule or reading.rule in {"quota.menu", "quota.status"}:
        return None
    blocks = screen.turn if screen.busy else tail(screen, quota)
    for block in reversed(blocks):
        found = match(block.normalised)
        if found and found[0].name == reading.rule:
            return block.line
        if reading.rule in {"quota.daemon", "quota.extra", "error.veto"} and reading.pattern:
            regex = pattern_regex(reading.pattern)
            if normalise(reading.pattern) in block.normalised or (regex is not None and reading.rule == "quota.extra"):
                return block.line
    return None


def _why(block: Block, examined: bool, in_turn: bool, screen: Screen, quota: Quota) -> str:
    """How a block counts, in a few words."""
    found = match(block.normalised)
    rule = f"{found[0].name}: {found[0].kind}" if found else "no rule matches"
    if screen.busy and block.mark is not BlockMark.SPINNER:
        return "the agent is working: nothing above counts"
    if block.mark is BlockMark.PROMPT:
        return "the prompt: the current turn starts below it" if block.text == screen.prompt else "an earlier prompt"
    if not in_turn:
        return "an earlier turn"
    if block.closes:
        return "the turn ended well: nothing above it counts"
    if block.mark is BlockMark.TOOL:
        return "a tool call: the turn continued"
    if block.mark is BlockMark.OUTPUT:
        return "tool output is never a hit"
    if block.mark is BlockMark.NOTICE:
        return "a notice is never a hit"
    if block.mark is BlockMark.SPINNER:
        return rule if found else "work in progress"
    if is_hint(block.normalised):
        return "a hint: neither a hit nor the end of one"
    if not examined:
        return f"above the last {quota.tail_lines} blocks (quota.tail_lines)"
    return rule


def _plain(lines: Sequence[str], reading: Reading, quota: Quota) -> list[ExplainedLine]:
    """The lines of a pane without structure: each of the last ``tail_lines`` non-empty lines is a block."""
    filled = [number for number, text in enumerate(lines) if text.strip()]
    examined = set(filled[-quota.tail_lines :])
    words = normalise(reading.snippet or "")
    explained = []
    done = False
    for number, text in reversed(list(enumerate(lines))):
        bare = normalise(text)
        looked = number in examined
        fired = looked and not done and bool(reading.rule and bare) and (words.startswith(bare[:60]) or bare in words)
        done = done or fired
        found = match(bare) if looked else None
        why = (f"{found[0].name}: {found[0].kind}" if found else "no rule matches") if looked else None
        if looked and fired and found is None:
            why = f"{reading.rule}: {reading.kind}"
        explained.append(
            ExplainedLine(
                number=number + 1,
                text=text.rstrip(),
                part=BlockMark.TEXT,
                examined=looked,
                first=True,
                why=why,
                fired=fired,
            )
        )
    return explained[::-1]
