"""The rule of the Go daemon: patterns in the last lines of a pane, whichever program drew them [daemon].

Agent `plain` has no other rule. Other agents fall back on it when a pane does not show their screen. Pure.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Protocol

from msgspec import Struct

from failover_oneshot.agents.base import ExplainedLine, Explanation, Prompt, PromptState
from failover_oneshot.config.model import Quota
from failover_oneshot.config.values import pattern_regex
from failover_oneshot.detection.identity import screen_identity
from failover_oneshot.detection.text import normalise
from failover_oneshot.model import AgentProcess, Evidence, Kind, Limit, Reading

QUOTA: Final = (
    "you've hit your limit",
    "rate_limit_error",
    "quota exceeded",
    "usage limit reached",
    "claude pro usage",
    "too many requests",
    "5-hour limit",
)
SERVER_ERROR: Final = ("api_error", "overloaded_error", "internal server error", "api error: 5")
SNIPPET: Final = 120


class Rule(Struct, frozen=True):
    """A rule that is not a row of an agent's table of wordings."""

    name: str
    kind: Kind
    typed: bool = False


DAEMON: Final = Rule("quota.daemon", Kind.QUOTA)
EXTRA: Final = Rule("quota.extra", Kind.QUOTA)
VETO: Final = Rule("error.veto", Kind.SERVER_ERROR)


class Wording(Protocol):
    """A rule with a name: a `Rule`, or a row of an agent's table."""

    @property
    def name(self) -> str: ...

    @property
    def kind(self) -> Kind: ...

    @property
    def typed(self) -> bool:
        """Whether the error states its own type, so that words of a server error in it do not veto it."""


class PlainMatch(Struct, frozen=True, kw_only=True):
    """The rule that decided, and the text it matched."""

    rule: Wording
    words: str | None
    message: str  # the line and the next two, which may name the reset
    line: str | None  # the part to show; None: all of it


def find(
    lines: Sequence[str], quota: Quota, own: Callable[[str], tuple[Wording, str] | None] = lambda _: None
) -> PlainMatch | None:
    """The newest hit in the last ``tail_lines`` lines of a pane, else the newest match of any other rule.

    ``lines`` are the non-empty ones. ``own`` is an agent's table of wordings, asked first for each normalized line.
    """
    tail = lines[-quota.tail_lines :]
    texts = [normalise(line) for line in tail]
    vetoed = any(vetoes(text, quota) for text in texts)
    best: PlainMatch | None = None
    for number in range(len(texts) - 1, -1, -1):
        found = own(texts[number])
        if found is None and not vetoed:
            found = _by_words(texts[number], quota)
        if found is None or (found[0].kind is Kind.QUOTA and vetoed and not found[0].typed):
            continue
        # A message may continue on the next line; only the reset is taken from there.
        message = " ".join(tail[number : number + 3])
        shown = PlainMatch(rule=found[0], words=found[1], message=message, line=tail[number])
        if found[0].kind is Kind.QUOTA:
            return shown
        best = best or shown
    if best is None and vetoed:
        best = PlainMatch(rule=VETO, words=None, message=" ".join(tail), line=None)
    return best


def _by_words(text: str, quota: Quota) -> tuple[Wording, str] | None:
    words = next((pattern for pattern in QUOTA if pattern in text), None)
    extra = operators_pattern(text, quota.extra_patterns)
    return (DAEMON, words) if words else (EXTRA, extra) if extra else None


def operators_pattern(text: str, patterns: Sequence[str]) -> str | None:
    """The first of the operator's patterns that matches a normalized text; None if none does."""
    for pattern in patterns:
        regex = pattern_regex(pattern)
        if re.search(regex, text, re.IGNORECASE) if regex is not None else normalise(pattern) in text:
            return pattern
    return None


def vetoes(text: str, quota: Quota) -> bool:
    """Whether a normalized text reports a server error, so that no words next to it are a hit."""
    return (
        "not your usage limit" in text
        or any(pattern in text for pattern in SERVER_ERROR)
        or operators_pattern(text, quota.extra_server_error_patterns) is not None
    )


class Plain:
    """Any program: its last lines are read by the daemon's rule. It keeps no records, and no text is typed into it."""

    def classify(self, text: str, title: str, quota: Quota) -> Reading:  # noqa: ARG002 - the protocol's
        found = find(_filled(text), quota)
        if found is None:
            return Reading(kind=Kind.OK, evidence=Evidence.TEXT)
        from failover_oneshot.detection import resets  # imported here: a healthy check needs neither
        from failover_oneshot.lib.redact import redact

        shown = " ".join((found.line or found.message).split())
        hit = found.rule.kind is Kind.QUOTA
        reset = resets.extract(found.message) if hit else None
        return Reading(
            kind=found.rule.kind,
            evidence=Evidence.TEXT,
            limit=Limit.UNKNOWN if hit else None,
            rule=found.rule.name,
            pattern=found.words,
            snippet=redact(shown)[:SNIPPET] or None,
            reset_text=reset,
            identity=screen_identity(normalise(reset or shown), "") if hit else "",
        )

    def explain(self, text: str, title: str, quota: Quota) -> Explanation:
        reading, filled = self.classify(text, title, quota), _filled(text)
        lines = text.split("\n")
        examined = set(filled[-quota.tail_lines :])
        explained = (
            ExplainedLine(
                number=n, text=line.rstrip(), part="text", examined=line.strip() in examined and bool(line.strip())
            )
            for n, line in enumerate(lines, start=1)
        )
        return Explanation(lines=tuple(explained), structured=False, busy=False, prompt="", draft="", reading=reading)

    def prompt(self, text: str, title: str) -> Prompt:  # noqa: ARG002
        return _NoPrompt()

    def processes(self, panes: Mapping[str, int]) -> dict[str, AgentProcess]:  # noqa: ARG002
        return {}

    def record(self, process: AgentProcess) -> Reading | None:  # noqa: ARG002
        return None

    def conversation(self, process: AgentProcess) -> str:  # noqa: ARG002
        return ""

    def conversation_size(self, conversation: str) -> int:  # noqa: ARG002
        return 0

    def prompt_state(self, conversation: str, offset: int, text: str) -> PromptState:  # noqa: ARG002
        return PromptState.NONE

    def own_login(self, pids: Iterable[int]) -> str | None:  # noqa: ARG002
        return None

    def version(self, texts: Iterable[str]) -> str | None:  # noqa: ARG002
        return None


class _NoPrompt:
    """The prompt of an unknown program: never recognized, so no text is typed into it."""

    recognized = busy = menu = waits = may_escape = empty = answered = False
    draft = fingerprint = ""

    def holds(self, text: str) -> bool:  # noqa: ARG002
        return False

    def shows(self, text: str, before: str = "") -> bool:  # noqa: ARG002
        return False


def _filled(text: str) -> list[str]:
    return [line.strip() for line in text.split("\n") if line.strip()]
