"""What every agent program offers to the rest: its screen, its prompt and its records. Pure types."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final, Protocol

from msgspec import Struct

from failover_oneshot.config.model import Quota
from failover_oneshot.model import AgentProcess, Reading

CHROME: Final = "chrome"  # the input box, the status area, rules, blanks
MENU: Final = "menu"


class PromptState(StrEnum):
    """What an agent's own records say of one prompt."""

    NONE = "none"  # there are no records
    ABSENT = "absent"  # the prompt is not in them
    OPEN = "open"  # it was taken, and its turn has no end
    DOUBT = "doubt"  # it was taken, and its turn may have ended
    ENDED = "ended"
    LIMIT = "limit"  # its turn ended at a limit
    ERROR = "error"  # its turn ended with another error


class Prompt(Protocol):
    """The agent's prompt, as one captured screen shows it."""

    @property
    def recognized(self) -> bool:
        """Whether this is the agent's screen at all, and is understood."""

    @property
    def busy(self) -> bool:
        """Whether the agent works."""

    @property
    def draft(self) -> str:
        """What was typed and not sent."""

    @property
    def menu(self) -> bool:
        """Whether a menu is open."""

    @property
    def waits(self) -> bool:
        """Whether the agent waits by itself for a limit's reset."""

    @property
    def may_escape(self) -> bool:
        """Whether Escape leaves that wait, or the limit's own menu; another menu may be a question of permission."""

    @property
    def empty(self) -> bool:
        """Positive proof of an empty prompt. Any other dialog may act on single letters."""

    @property
    def answered(self) -> bool:
        """Whether the agent has said something in this turn, or has closed it."""

    @property
    def fingerprint(self) -> str:
        """Tells whether the conversation on the screen has changed."""

    def holds(self, text: str) -> bool:
        """Whether the draft is this text and nothing else, as far as a screen can show it."""

    def shows(self, text: str, before: str = "") -> bool:
        """Whether the last prompt of the conversation is this text.

        A long paste that is not shown in full counts only when the conversation was another one `before` it was sent.
        """


class ExplainedLine(Struct, frozen=True, kw_only=True):
    """One line of a pane, explained."""

    number: int  # from 1
    text: str
    part: str  # "chrome", "menu", or the mark of its block
    examined: bool  # whether it is looked at for a hit
    first: bool = False  # the first line of its block
    why: str | None = None  # at a block's first line: what becomes of the block
    fired: bool = False  # the rule that decided stands here


class Explanation(Struct, frozen=True, kw_only=True):
    """One pane's text, explained."""

    lines: tuple[ExplainedLine, ...]
    structured: bool
    busy: bool
    prompt: str
    draft: str
    reading: Reading  # what the screen says


class Agent(Protocol):
    """One agent program. Everything here only reads; what cannot be made out is left out, and nothing raises."""

    def classify(self, text: str, title: str, quota: Quota) -> Reading:
        """What a pane's visible text says; ``title`` is the pane's."""

    def explain(self, text: str, title: str, quota: Quota) -> Explanation:
        """The same, line by line, with the reasons."""

    def prompt(self, text: str, title: str) -> Prompt:
        """The prompt that a pane's visible text shows."""

    def processes(self, panes: Mapping[str, int]) -> dict[str, AgentProcess]:
        """The agents that run in these panes (pane id to the pane's process id), as far as they keep records."""

    def record(self, process: AgentProcess) -> Reading | None:
        """What the newest record of its conversation says; None when nothing does, and the screen decides."""

    def conversation(self, process: AgentProcess) -> str:
        """The file of its conversation, which need not exist yet."""

    def conversation_size(self, conversation: str) -> int:
        """Bytes; 0 for a conversation that has not begun."""

    def prompt_state(self, conversation: str, offset: int, text: str) -> PromptState:
        """What the records after ``offset`` (bytes) of a conversation's file say of the prompt ``text``."""

    def own_login(self, pids: Iterable[int]) -> str | None:
        """The variable by which one of these processes brings a login of its own, which no swap of files reaches."""

    def version(self, texts: Iterable[str]) -> str | None:
        """The agent's version, as a screen says, else as its installation says. The agent is not run."""
