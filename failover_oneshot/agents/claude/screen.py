"""Parses a pane of Claude Code into its structure: chrome, menu, blocks, current turn (docs/detection.md). Pure.

It knows the layout of the screen, but nothing about limits. Every step is linear in the length of the text.
"""

import re
from enum import StrEnum
from functools import cached_property
from typing import Final

from msgspec import Struct

from failover_oneshot.detection.text import normalise

PROMPT_GLYPHS: Final = "❯>"
BULLETS: Final = "●⏺"
RESULTS: Final = "⎿└├"
SPINNERS: Final = "✻✽✶✳✢·*"
BUSY_TITLES: Final = "◐◑◒◓"
RULES: Final = "─━▔╌"
PLACEHOLDERS: Final = (
    "resend your message to try again",
    "once fixed, resend your message",
    'try "',
    "press up to edit",
)
OWN_PROMPTS: Final = ("/rate-limit-options",)  # typed by Claude Code itself, so it starts no turn

# Large enough for every box, status area and menu recorded so far, and a bound on the cost of a hostile screen.
BOX_LINES: Final = 60
STATUS_LINES: Final = 40
MENU_LINES: Final = 40

MENU_TITLE: Final = "what do you want to do?"
_OPTION: Final = re.compile(r"\s*[❯>]\s+\d{1,2}\. ")
_WAIT_OPTION: Final = re.compile(r"\s*(?:[❯>]\s*)?(?:\d{1,2}\. )?(?:stop and )?wait for limit to reset", re.IGNORECASE)
_TOOL: Final = re.compile(r"[A-Z_a-z][\w.:-]{0,80}(?: \([^)]{0,40}\))?(?: - \w{1,40} \(MCP\))?\(")
_HINT: Final = re.compile(r"[◐◑◒◓○◉] \w{1,20} · /effort")
_TODO: Final = re.compile(r"\d{1,3} tasks? \(")
_TODO_ITEM: Final = re.compile(r"[◼◻■□☐☑☒✓✔] |… \+\d")
_CLOSING: Final = re.compile(r".{1,80} · done \d{1,2}:\d\d")


class BlockMark(StrEnum):
    """What a block is, from its first glyph and the block above it."""

    PROMPT = "prompt"
    SPEECH = "speech"  # text of the assistant, or a message in its place
    TOOL = "tool"  # a tool call
    OUTPUT = "output"  # the output of a tool call
    ANSWER = "answer"  # a message of Claude Code under a prompt, under speech or after tool output
    ALERT = "alert"  # `⚠`
    SPINNER = "spinner"  # work in progress, or the closing line of a turn
    NOTICE = "notice"  # `▎`
    TODO = "todo"  # the to-do list above the box
    TEXT = "text"  # no glyph: a banner, plain output


class Block(Struct, frozen=True, kw_only=True, dict=True):
    """A block of the conversation. ``text`` is its lines joined with single spaces, without the glyph."""

    mark: BlockMark
    text: str
    column: int  # of the glyph
    line: int  # of its first line in the conversation, from 0

    @cached_property
    def normalised(self) -> str:
        """The text in the form that wordings and patterns match."""
        return normalise(self.text)

    @property
    def closes(self) -> bool:
        """Whether it closes a turn that ended well: `✻ Brewed for 12s · done 10:34 AM`."""
        return self.mark is BlockMark.SPINNER and _CLOSING.match(self.text) is not None


class Screen(Struct, frozen=True, kw_only=True):
    """The structure of one pane."""

    structured: bool  # a screen of Claude Code; else a shell, print mode, another program
    blocks: tuple[Block, ...]  # of the whole conversation
    turn: tuple[Block, ...]  # the blocks after the last prompt
    prompt: str  # the last prompt; "" if it has scrolled off
    status: tuple[str, ...]  # the lines below the box
    menu: str | None  # the text of an open menu
    draft: str  # what was typed but not sent
    busy: bool
    lines: tuple[str, ...]  # the non-empty lines of the pane, for the plain rule


class _Regions(Struct, frozen=True):
    body: list[str]
    box: list[str] | None = None
    status: list[str] = []
    menu: str | None = None


def parse(text: str, title: str = "") -> Screen:
    """The structure of a pane's visible text. ``title`` is the pane's title. Every string has a structure."""
    lines = [_clean(line) for line in text.split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    regions = _regions(lines)
    blocks = _blocks(regions.body)
    box = regions.box
    if box is None and regions.menu is None and blocks and blocks[-1].mark is BlockMark.PROMPT:
        box = [f"❯ {blocks[-1].text}"]  # a version without rules: the prompt at the very end is its box
        blocks = blocks[:-1]
    glyphs = any(block.mark not in {BlockMark.TEXT, BlockMark.TODO} for block in blocks)
    structured = box is not None or regions.menu is not None or glyphs
    start, prompt = _turn(blocks)
    turn = tuple(blocks[start:])
    status = tuple(line.strip() for line in regions.status if line.strip())
    return Screen(
        structured=structured,
        blocks=tuple(blocks),
        turn=turn,
        prompt=prompt,
        status=status,
        menu=regions.menu,
        draft=_draft(box or []),
        busy=_busy(status, turn, title),
        lines=tuple(line.strip() for line in lines if line),
    )


def _clean(line: str) -> str:
    line = line.replace("\xa0", " ")
    if not line.isprintable():
        line = "".join(c if c.isprintable() else " " for c in line)
    return line.rstrip()


def _is_rule(line: str) -> bool:
    """Whether a line is a horizontal rule, possibly with a label in it."""
    bare = line.strip()
    if len(bare) < 6 or bare[0] not in RULES:
        return False
    drawn = sum(map(bare.count, RULES))
    return drawn == len(bare) or (all(c in RULES for c in bare[:3]) and 2 * drawn >= len(bare))


def _regions(lines: list[str]) -> _Regions:
    """The regions of the screen: conversation, box, status area and menu."""
    end = len(lines)
    for bottom in range(end - 1, max(-1, end - STATUS_LINES), -1):
        bare = lines[bottom].lstrip()
        edge = _is_rule if _is_rule(lines[bottom]) else (lambda s: s.lstrip().startswith("╭─"))
        if edge is not _is_rule and not bare.startswith("╰─"):
            continue
        top = next((n for n in range(bottom - 1, max(-1, bottom - BOX_LINES), -1) if edge(lines[n])), None)
        if top is None:
            continue
        box = [line.strip().strip("│").strip() for line in lines[top + 1 : bottom]]
        if box and box[0][:1] in {"❯", ">", "!", "#"} and not _OPTION.match(lines[top + 1].replace("│", " ")):
            return _Regions(lines[:top], box, lines[bottom + 1 :])
    start = _menu(lines)
    if start is not None:
        top = start
        while top and (not lines[top - 1] or _is_rule(lines[top - 1])):
            top -= 1
        return _Regions(lines[:top], menu=" ".join(" ".join(lines[start:]).split()))
    return _Regions(lines)


def _menu(lines: list[str]) -> int | None:
    """The first line of an open menu, which reaches the bottom and has a marked option; None without one."""
    first = max(0, len(lines) - MENU_LINES)
    marked = None
    for number in range(len(lines) - 1, first - 1, -1):
        line = lines[number]
        if line[:1] in {*BULLETS, "⎿"}:
            break
        if line.strip().lower() == MENU_TITLE:
            below = (other.lstrip()[:1] for other in lines[number + 1 :])
            return number if any(glyph in {"❯", ">"} for glyph in below) else None
        if _OPTION.match(line) or _WAIT_OPTION.match(line):
            marked = number
    if marked is None:
        return None
    while marked > first and lines[marked - 1] and not _is_rule(lines[marked - 1]):
        marked -= 1
    return marked


def _blocks(lines: list[str]) -> list[Block]:
    found: list[tuple[BlockMark, int, int, list[str]]] = []
    gap = True  # whether the line above is empty
    for number, line in enumerate(lines):
        bare = line.lstrip()
        if not bare or _is_rule(line) or _HINT.match(bare):
            gap = True
            continue
        column = len(line) - len(bare)
        over = found[-1] if found else None
        mark = _mark(bare, column, over, gap)
        if mark is not None:
            text = bare if mark in {BlockMark.TEXT, BlockMark.TODO} else _without_glyph(bare)
            found.append((mark, column, number, [text]))
        elif over is not None and over[0] is not BlockMark.TEXT and column > over[1]:
            over[3].append(bare)
        else:
            found.append((BlockMark.TEXT, column, number, [bare]))
        gap = False
    return [
        Block(mark=mark, column=column, line=number, text=" ".join(" ".join(parts).split()))
        for mark, column, number, parts in found
        if any(parts) or mark is BlockMark.PROMPT
    ]


def _without_glyph(bare: str) -> str:
    """The text of a block's first line. A result may be part of a tree: `├  └ text`."""
    return bare.lstrip("⎿└├│ ") if bare[0] in RESULTS else bare[1:].lstrip()


def _mark(bare: str, column: int, over: tuple[BlockMark, int, int, list[str]] | None, gap: bool) -> BlockMark | None:
    """The mark of the block that starts on this line; None for a continued block or a line without a glyph."""
    glyph, space = bare[0], bare[1:2] in {"", " "}
    above, level = (over[0], over[1]) if over else (None, -1)
    inside = over is not None and above is not BlockMark.TEXT and column > level
    if above is BlockMark.SPINNER and over is not None and _CLOSING.match(over[3][0]) and not space:
        return BlockMark.TEXT  # a notice of Claude Code below the closing line of a turn
    if (gap and _TODO.match(bare)) or (above is BlockMark.TODO and _TODO_ITEM.match(bare)):
        return BlockMark.TODO
    if glyph in RESULTS and space:
        if not inside or column <= level + 2:
            if above is BlockMark.TOOL or (
                above is BlockMark.PROMPT and over is not None and over[3][0].startswith("!")
            ):
                return BlockMark.OUTPUT  # of a tool, or of a shell command that the operator typed: `❯ ! make`
            # After an empty line it is a quotation in the assistant's text.
            quoted = above is BlockMark.SPEECH and gap
            return None if quoted else BlockMark.ANSWER
        return None
    if inside or not space:
        return BlockMark.ALERT if glyph == "⚠" and not inside else None
    if glyph == "❯" or (glyph == ">" and column <= 1):
        return BlockMark.PROMPT
    if glyph == "!" and not column and gap:
        return BlockMark.TOOL  # a shell command that the operator typed
    if glyph in BULLETS:
        return BlockMark.TOOL if _TOOL.match(bare[1:].lstrip()) else BlockMark.SPEECH
    if glyph in SPINNERS and column <= 1:
        return BlockMark.SPINNER
    return {"▎": BlockMark.NOTICE, "⚠": BlockMark.ALERT}.get(glyph)


def _turn(blocks: list[Block]) -> tuple[int, str]:
    """The index of the first block of the current turn, and the turn's prompt.

    A prompt at the very end, with no block below it, is queued: the turn above it is still the current one.
    """
    first = next((at for at, block in enumerate(blocks) if block.mark is not BlockMark.PROMPT), len(blocks))
    at_the_end = True
    for at in range(len(blocks) - 1, -1, -1):
        block = blocks[at]
        at_the_end = at_the_end and block.mark is BlockMark.PROMPT
        begins = block.mark is BlockMark.PROMPT and block.text and not block.text.startswith(OWN_PROMPTS)
        if begins and not (at_the_end and first < at):
            return at + 1, block.text
    return 0, ""


def _draft(box: list[str]) -> str:
    text = " ".join(" ".join(box).split())
    text = text[1:].strip() if text[:1] in {"❯", ">", "!", "#"} else text
    return "" if text.lower().startswith(PLACEHOLDERS) else text


def _busy(status: tuple[str, ...], turn: tuple[Block, ...], title: str) -> bool:
    if title and (title[0] in BUSY_TITLES or "\u2801" <= title[0] <= "\u28ff"):
        return True
    spinning = [b.text for b in turn if b.mark is BlockMark.SPINNER]
    said = " ".join((*status, *spinning)).lower()
    return "esc to interrupt" in said or any("retrying in" in text for text in spinning)
