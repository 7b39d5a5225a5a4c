"""The protocol of an agent: its screen, its prompt and its records. Types only."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final, Protocol

from msgspec import Struct

from failover_oneshot.config.model import Quota
from failover_oneshot.model import AgentProcess, Reading

CHROME: Final = "chrome"  # the prompt box, the status area, rules, blank lines
MENU: Final = "menu"


class PromptState(StrEnum):
    """What an agent's own records say about one prompt."""

    NONE = "none"  # there are no records
    ABSENT = "absent"  # the prompt is not in them
    OPEN = "open"  # taken; its turn has not ended
    DOUBT = "doubt"  # taken; its turn may have ended
    ENDED = "ended"
    LIMIT = "limit"  # its turn ended at a limit
    ERROR = "error"  # its turn ended with another error


class Prompt(Protocol):
    """The agent's prompt on one captured screen."""

    @property
    def recognized(self) -> bool:
        """Whether the screen is the agent's and is understood."""

    @property
    def busy(self) -> bool:
        """Whether the agent is working."""

    @property
    def draft(self) -> str:
        """The text that was typed but not sent."""

    @property
    def menu(self) -> bool:
        """Whether a menu is open."""

    @property
    def waits(self) -> bool:
        """Whether the agent itself is waiting for the reset of a limit."""

    @property
    def may_escape(self) -> bool:
        """Whether Escape is safe: it leaves that wait, or the limit menu. Another menu may ask for permission."""

    @property
    def empty(self) -> bool:
        """Whether the prompt is provably empty. Other dialogs may act on single letters."""

    @property
    def answered(self) -> bool:
        """Whether the agent has answered in this turn, or has closed it."""

    @property
    def fingerprint(self) -> str:
        """A value that changes when the conversation on the screen changes."""

    def holds(self, text: str) -> bool:
        """Whether the draft is exactly this text, as far as a screen can show it."""

    def shows(self, text: str, before: str = "") -> bool:
        """Whether the last prompt of the conversation is this text.

        A long paste is not shown in full. It counts only if the fingerprint differs from ``before``, the one taken just
        before it was sent.
        """


class ExplainedLine(Struct, frozen=True, kw_only=True):
    """How one line of a pane was read."""

    number: int  # from 1
    text: str
    part: str  # "chrome", "menu", or the mark of its block
    examined: bool  # whether it is searched for a hit
    first: bool = False  # the first line of its block
    why: str | None = None  # on a block's first line: how the block counts
    fired: bool = False  # the deciding rule matched here


class Explanation(Struct, frozen=True, kw_only=True):
    """How the text of one pane was read, line by line."""

    lines: tuple[ExplainedLine, ...]
    structured: bool
    busy: bool
    prompt: str
    draft: str
    reading: Reading  # the result


class Agent(Protocol):
    """One agent program. All methods only read and never raise; what they cannot read is left out."""

    def classify(self, text: str, title: str, quota: Quota) -> Reading:
        """The reading of a pane's visible text and title."""

    def explain(self, text: str, title: str, quota: Quota) -> Explanation:
        """The reading that `classify` gives, with a reason for each line."""

    def prompt(self, text: str, title: str) -> Prompt:
        """The prompt on a pane's visible text."""

    def processes(self, panes: Mapping[str, int]) -> dict[str, AgentProcess]:
        """The agents in these panes that keep records, by pane id. ``panes``: pane id to the pane's process id."""

    def record(self, process: AgentProcess) -> Reading | None:
        """The reading of the newest record of a process's conversation; None when the screen must decide."""

    def conversation(self, process: AgentProcess) -> str:
        """The path of the file of a process's conversation; it may not exist yet."""

    def conversation_size(self, conversation: str) -> int:
        """The size of a conversation's file in bytes; 0 if it does not exist yet."""

    def prompt_state(self, conversation: str, offset: int, text: str) -> PromptState:
        """What the records after ``offset`` (bytes) of a conversation's file say about the prompt ``text``."""

    def own_login(self, pids: Iterable[int]) -> str | None:
        """The environment variable with which one of these processes has its own credentials, out of a swap's reach."""

    def version(self, texts: Iterable[str]) -> str | None:
        """The agent's version, from a screen, else from its installation. Does not run the agent."""
