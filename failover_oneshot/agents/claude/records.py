"""The records of a conversation, as Claude Code writes them: one JSON object per line. Reads only.

The files are not trusted: one may be a pipe, a link or huge, a line half written, a field missing or of any type.
"""

import os
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from failover_oneshot.model import AgentProcess

_LONGEST_FOLDER = 200  # Claude Code's own limit; a longer folder name ends in a hash


class ConversationRecord(Struct, rename="camel"):
    """One record. Its fields may have any type; its properties have the type they declare."""

    type: Any = None
    uuid: Any = None
    timestamp: Any = None
    is_sidechain: Any = None
    is_meta: Any = None
    is_api_error_message: Any = None
    error: Any = None
    api_error: Any = None
    api_error_status: Any = None
    quota_limits: Any = None
    tool_use_result: Any = None
    message: Any = None
    account_uuid: Any = None

    @property
    def content(self) -> object:
        """The content of the message: a text, or a list of parts."""
        return self.message.get("content") if isinstance(self.message, dict) else None

    @property
    def text(self) -> str:
        """The texts in the message, one per line."""
        content = self.content
        if isinstance(content, str):
            return content
        texts = [part.get("text") for part in _parts(content)]
        return "\n".join(text for text in texts if isinstance(text, str))

    @property
    def at(self) -> datetime | None:
        """When it was written (UTC); None if unknown."""
        try:
            time = datetime.fromisoformat(self.timestamp) if isinstance(self.timestamp, str) else None
            return time.astimezone(UTC) if time and time.tzinfo else None
        except (ValueError, OverflowError):
            return None

    def holds(self, *kinds: str) -> bool:
        """Whether a part of the message has one of these types."""
        return any(part.get("type") in kinds for part in _parts(self.content))


def _parts(content: object) -> list[dict[str, Any]]:
    return [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []


def decode(data: bytes) -> Iterator[ConversationRecord]:
    """The records in these lines; other lines are skipped."""
    decoder = msgspec.json.Decoder(ConversationRecord)
    for line in data.split(b"\n"):
        try:
            yield decoder.decode(line)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            continue  # half written, or not a record


def conversation(claude_dir: Path, process: AgentProcess) -> str:
    """The path of a process's conversation file, which may not exist yet."""
    return f"{claude_dir}/projects/{project_folder(process.cwd)}/{process.session_id}.jsonl"


def project_folder(cwd: str) -> str:
    """The folder name for conversations of a working folder, formed as Claude Code does (in JavaScript: UTF-16)."""
    raw = cwd.encode("utf-16-le", "surrogatepass")
    units = [int.from_bytes(raw[i : i + 2], "little") for i in range(0, len(raw), 2)]
    name = "".join(chr(u) if u < 128 and chr(u).isalnum() else "-" for u in units)
    if len(name) <= _LONGEST_FOLDER:
        return name
    code = 0
    for unit in units:
        code = (code * 31 + unit) & 0xFFFFFFFF
    return f"{name[:_LONGEST_FOLDER]}-{_base36(min(code, 2**32 - code))}"


def _base36(number: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = "0123456789abcdefghijklmnopqrstuvwxyz"[digit] + digits
    return digits or "0"


def size(path: str) -> int:
    """The size of a conversation's file in bytes; 0 if it does not exist yet."""
    try:
        return os.stat(path).st_size  # noqa: PTH116
    except OSError:
        return 0


def read_end(path: str, limit: int) -> bytes | None:
    """The last ``limit`` bytes of a regular file, without a cut first line; None if it cannot be read."""
    start, data = _read(path, None, limit)
    return data.partition(b"\n")[2] if start and data else data


def read_whole(path: str, limit: int) -> bytes | None:
    """All of a regular file; None if it is longer than ``limit`` bytes or cannot be read."""
    start, data = _read(path, None, limit)
    return None if start else data


def read_range(path: str, offset: int, limit: int) -> bytes | None:
    """At most ``limit`` bytes of a regular file from ``offset`` on; None if it cannot be read."""
    return _read(path, offset, limit)[1]


def _read(path: str, offset: int | None, limit: int) -> tuple[int, bytes | None]:
    """The start and the bytes read; without an offset, from the end. Never follows links, never blocks."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_NOCTTY | os.O_CLOEXEC)
    except (OSError, ValueError):
        return 0, None
    try:
        info = os.fstat(fd)
        start = max(0, info.st_size - limit) if offset is None else offset
        return start, os.pread(fd, limit, start) if stat.S_ISREG(info.st_mode) else None
    except OSError:
        return 0, None
    finally:
        os.close(fd)
