"""The prompt of Claude Code on one screen: the draft, the last prompt sent, whether typing is safe. Pure."""

import re
from functools import cached_property
from typing import Final
from zlib import crc32

from failover_oneshot.agents.claude.screen import PLACEHOLDERS, BlockMark, Screen, parse

# Claude Code itself waits for the reset and says so in its last lines: docs/detection.md, "Waiting and swapping".
_WAITING: Final = "continuing automatically at"
_LAST_LINES: Final = 10
_PASTED: Final = re.compile(r"\[(?:Pasted|\.\.\.Truncated) text #\d+(?: \+\d+ lines?)?(?:\.\.\.)?\]")


class ClaudePrompt:
    """The prompt on one screen; see `agents.base.Prompt`."""

    def __init__(self, text: str, title: str) -> None:
        self._screen: Screen = parse(text, title)
        self._last = text.rstrip().split("\n")[-_LAST_LINES:]

    @property
    def recognized(self) -> bool:
        return self._screen.structured

    @property
    def busy(self) -> bool:
        return self._screen.busy

    @property
    def draft(self) -> str:
        return self._screen.draft

    @property
    def menu(self) -> bool:
        return bool(self._screen.menu)

    @property
    def waits(self) -> bool:
        return any(_WAITING in line.lower() for line in self._last)

    @property
    def may_escape(self) -> bool:
        menu = (self._screen.menu or "").lower()
        return self.recognized and not self.draft and ("limit" in menu if menu else self.waits)

    @property
    def empty(self) -> bool:
        boxed = (line.strip("│ ") for line in self._screen.lines[-_LAST_LINES:])
        return any(line[:1] in {"❯", ">"} and _is_empty(line[1:].strip()) for line in boxed)

    @property
    def answered(self) -> bool:
        return any(block.mark in {BlockMark.SPEECH, BlockMark.ANSWER} or block.closes for block in self._screen.turn)

    @cached_property
    def fingerprint(self) -> str:
        return f"{crc32(repr([block.text for block in self._screen.blocks]).encode('utf-8', 'replace')):08x}"

    def holds(self, text: str) -> bool:
        if not self.draft and text.lower().startswith(PLACEHOLDERS):  # reads like a placeholder of Claude Code
            return _bones(text) in _bones("".join(self._screen.lines[-40:]))
        return bool(self.draft) and _shows(self.draft, text)

    def shows(self, text: str, before: str = "") -> bool:
        prompt = self._screen.prompt
        if _PASTED.search(prompt) and before in {"", self.fingerprint}:
            return False
        return bool(prompt) and _shows(prompt, text)


def _is_empty(draft: str) -> bool:
    return not draft or draft.lower().startswith(PLACEHOLDERS)


def _shows(shown: str, text: str) -> bool:
    """Whether Claude Code shows this text: wrapped, cut, or with a paste drawn as `[Pasted text #1 +9 lines]`."""
    seen, whole = [_bones(part) for part in _PASTED.split(shown)], _bones(text)
    if len(seen) == 2:
        return whole.startswith(seen[0]) and whole.endswith(seen[1])
    return seen == [whole] or (len(seen) == 1 and len(seen[0]) >= 40 and seen[0] in whole)


def _bones(text: str) -> str:
    """Letters and digits only: versions and terminals draw and wrap the rest differently."""
    return "".join(filter(str.isalnum, text))
