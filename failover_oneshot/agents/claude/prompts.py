"""What a client's own records say of one prompt: taken, open, ended. Reads only.

Nothing there is trusted: a line may be half written, a field missing or of any type.
"""

import os
import stat
from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec
from msgspec import Struct

from failover_oneshot.agents.base import PromptState

_PART: Final = 4 << 20  # bytes read from where the prompt must stand, and from the end, of a conversation grown long
# Tuples: a field may be of a type that no set can be asked for.
_LIMITS: Final = ("rate_limit", "billing_error")
_ENDS: Final = ("end_turn", "stop_sequence", "max_tokens", "refusal")
_SAID: Final = ("user", "assistant")
_TOOLS: Final = ("tool_use", "tool_result")


class _Record(Struct, rename="camel"):
    type: Any = None
    is_sidechain: Any = None
    is_meta: Any = None
    is_api_error_message: Any = None
    error: Any = None
    api_error: Any = None
    message: Any = None


def size(path: str) -> int:
    """Bytes; 0 for a conversation that has not begun."""
    try:
        return os.stat(path).st_size  # noqa: PTH116
    except OSError:
        return 0


def word(path: str, offset: int, text: str) -> PromptState:
    """What the records after `offset` say of the prompt `text`; NONE when records that were there can't be read."""
    whole = size(path)
    if whole < offset:
        return PromptState.NONE
    if whole == offset:
        return PromptState.ABSENT
    data = _read(path, offset, 2 * _PART)
    if data is not None and whole - offset > len(data):
        data = data.rpartition(b"\n")[0] + b"\n" + (_read(path, whole - _PART, _PART) or b"")
    return PromptState.NONE if data is None else _judge(_records(data.split(b"\n")), text)


def _read(path: str, offset: int, limit: int) -> bytes | None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return os.pread(fd, limit, offset) if stat.S_ISREG(os.fstat(fd).st_mode) else None
    except OSError:
        return None
    finally:
        os.close(fd)


def _records(lines: Iterable[bytes]) -> Iterator[_Record]:
    decoder = msgspec.json.Decoder(_Record)
    for line in lines:
        try:
            record = decoder.decode(line)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            continue
        if record.is_sidechain is not True and record.is_meta is not True and isinstance(record.message, dict):
            yield record


def _judge(records: Iterable[_Record], text: str) -> PromptState:
    wanted = _folded(text)
    found = PromptState.ABSENT
    for record in records:
        if record.type == "user" and found is PromptState.ABSENT:
            found = PromptState.OPEN if _folded(_text(record.message)) == wanted else found
        elif found is not PromptState.ABSENT and record.type in _SAID:
            found = _after(record)
            if found is PromptState.ENDED:
                return found
    return found


def _after(record: _Record) -> PromptState:
    """What one record says that follows the prompt, as long as its turn has not ended."""
    if record.type == "user":
        return PromptState.OPEN  # a tool's result, or "go on"
    if record.is_api_error_message is True:
        at_limit = record.api_error == "usage_limit_reached" or record.error in _LIMITS
        return PromptState.LIMIT if at_limit else PromptState.ERROR
    stop = record.message.get("stop_reason")
    if stop in _ENDS:
        return PromptState.ENDED
    # Some versions write no reason beside an answer's text: the turn may be over, or a tool may be called next.
    return PromptState.DOUBT if stop is None and _text(record.message) else PromptState.OPEN


def _text(message: dict[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, str):
        return content
    parts = [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []
    if any(part.get("type") in _TOOLS for part in parts):
        return ""
    return "\n".join(part["text"] for part in parts if isinstance(part.get("text"), str))


def _folded(text: str) -> str:
    return "".join(text.split())
