"""Reads the state of one prompt (taken, open, ended) from Claude Code's own records. Reads only.

The records are not trusted: a line may be half written, a field may be missing or of any type.
"""

from collections.abc import Iterable
from typing import Final

from failover_oneshot.agents.base import PromptState
from failover_oneshot.agents.claude import records
from failover_oneshot.agents.claude.records import ConversationRecord

_PART: Final = 4 << 20  # bytes read from the end of a long conversation, and twice that from the offset
# Tuples, because a field may be of an unhashable type.
_LIMITS: Final = ("rate_limit", "billing_error")
_ENDS: Final = ("end_turn", "stop_sequence", "max_tokens", "refusal")


def prompt_state(path: str, offset: int, text: str) -> PromptState:
    """What the records after ``offset`` (bytes) say about the prompt ``text``; NONE if they cannot be read."""
    whole = records.size(path)
    if whole < offset:
        return PromptState.NONE
    if whole == offset:
        return PromptState.ABSENT
    data = records.read_range(path, offset, 2 * _PART)
    if data is not None and whole - offset > len(data):
        data = data.rpartition(b"\n")[0] + b"\n" + (records.read_range(path, whole - _PART, _PART) or b"")
    return PromptState.NONE if data is None else _judge(filter(_is_message, records.decode(data)), text)


def _is_message(record: ConversationRecord) -> bool:
    """Whether a record is part of the conversation, not of a subagent or of Claude Code itself."""
    return record.is_sidechain is not True and record.is_meta is not True and isinstance(record.message, dict)


def _judge(messages: Iterable[ConversationRecord], text: str) -> PromptState:
    wanted = _folded(text)
    found = PromptState.ABSENT
    for record in messages:
        if record.type == "user" and found is PromptState.ABSENT:
            found = PromptState.OPEN if _folded(_words(record)) == wanted else found
        elif found is not PromptState.ABSENT and record.type in ("user", "assistant"):
            found = _after(record)
            if found is PromptState.ENDED:
                return found
    return found


def _after(record: ConversationRecord) -> PromptState:
    """The state of the prompt after one more record of its turn."""
    if record.type == "user":
        return PromptState.OPEN  # a tool result, or a prompt such as "continue"
    if record.is_api_error_message is True:
        at_limit = record.api_error == "usage_limit_reached" or record.error in _LIMITS
        return PromptState.LIMIT if at_limit else PromptState.ERROR
    stop = record.message.get("stop_reason")
    if stop in _ENDS:
        return PromptState.ENDED
    # Some versions write no stop reason next to an answer: the turn may have ended, or a tool call may follow.
    return PromptState.DOUBT if stop is None and _words(record) else PromptState.OPEN


def _words(record: ConversationRecord) -> str:
    """The text of a message without tool calls and results; else ""."""
    return "" if record.holds("tool_use", "tool_result") else record.text


def _folded(text: str) -> str:
    return "".join(text.split())
