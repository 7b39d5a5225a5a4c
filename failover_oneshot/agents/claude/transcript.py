"""Reads the newest record of a conversation, which is exact evidence where it exists. Reads only.

docs/detection.md, "Records" describes the formats. Any field may be missing or of any type. If a record cannot be
read, the result is None and the screen decides.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from failover_oneshot.agents.claude import records
from failover_oneshot.agents.claude.processes import SESSION_ID
from failover_oneshot.agents.claude.records import ConversationRecord
from failover_oneshot.agents.claude.wordings import limit_of, match
from failover_oneshot.detection.identity import record_identity
from failover_oneshot.detection.text import normalise
from failover_oneshot.model import AgentProcess, Evidence, Kind, Limit, Reading

TAIL = 64 * 1024  # bytes to read from the end of a conversation
_SNIPPET = 120

# How a user record begins if it is not a prompt: a command of Claude Code, a shell command, an interruption.
_NO_PROMPT = ("<command-", "<local-command-", "<bash-", "[Request interrupted", "Caveat: ")
_LIMITS = {
    "five_hour": Limit.FIVE_HOUR,
    "seven_day": Limit.SEVEN_DAY,
    "seven_day_opus": Limit.SEVEN_DAY_OPUS,
    "seven_day_sonnet": Limit.SEVEN_DAY_SONNET,
    "seven_day_overage_included": Limit.MODEL,
    "overage": Limit.OVERAGE,
}


def read_tail(claude_dir: Path, process: AgentProcess) -> Reading | None:
    """The reading of the newest decisive record in the last 64 KiB of a conversation; None if there is none."""
    if not SESSION_ID.fullmatch(process.session_id):
        return None
    data = records.read_end(records.conversation(claude_dir, process), TAIL)
    reading = _newest(data) if data else None
    return replace(reading, busy=process.busy) if reading else None


def _newest(data: bytes) -> Reading | None:
    """The reading of the newest record by its own time: the first records of a conversation are not in order."""
    newest: tuple[ConversationRecord, str | None] | None = None
    at: datetime | None = None
    owner: str | None = None
    for record in records.decode(data):
        if record.type == "session-owner":
            owner = record.account_uuid if isinstance(record.account_uuid, str) else None
        if record.is_sidechain is True or not _decides(record):
            continue
        time = record.at
        if at is None or time is None or time >= at:
            newest, at = (record, owner), time or at
    return _reading(*newest) if newest else None


def _decides(record: ConversationRecord) -> bool:
    """Whether a record shows the condition of the session: a prompt, an answer, an error."""
    message = record.message if isinstance(record.message, dict) else {}
    if record.type == "assistant":
        # Claude Code writes placeholders such as "No response requested." in the assistant's name, without an error
        return record.is_api_error_message is True or message.get("model") != "<synthetic>"
    if record.type != "user" or record.is_meta is True or record.tool_use_result is not None:
        return False
    content = record.content
    if not content or not isinstance(content, str | list) or record.holds("tool_result"):
        return False
    return not _words(record).startswith(_NO_PROMPT)


def _reading(record: ConversationRecord, owner: str | None) -> Reading | None:
    """The reading of a decisive record; None if only the screen can decide."""
    if record.is_api_error_message is not True:
        return Reading(kind=Kind.OK, evidence=Evidence.TRANSCRIPT, moved_on=True, printed_at=record.at)
    text = _words(record)
    limits = record.quota_limits if isinstance(record.quota_limits, dict) else {}
    kind, rule = _classify(record, text, limits)
    if kind is None or kind is Kind.WARNING:
        return None
    # Imported here: a check without hits needs neither.
    from failover_oneshot.detection import resets
    from failover_oneshot.lib.redact import redact

    is_quota = kind is Kind.QUOTA
    return Reading(
        kind=kind,
        evidence=Evidence.TRANSCRIPT,
        limit=_limit(limits, text) if is_quota else None,
        rule=f"transcript.{rule}",
        pattern=rule,
        snippet=redact(text[:1000])[:_SNIPPET] or None,
        reset_text=resets.extract(text) if is_quota else None,
        resets_at=_epoch(limits.get("resetsAt")) if is_quota else None,
        identity=record_identity(_identifier(record)),
        printed_at=record.at,
        account_uuid=owner,
    )


def _classify(record: ConversationRecord, text: str, limits: dict[str, Any]) -> tuple[Kind | None, str]:
    """The kind and the rule: from the exact fields, then from the words, then from the status code."""
    if record.api_error == "usage_limit_reached" or limits.get("status") == "rejected":
        return Kind.QUOTA, "usage_limit_reached"
    if found := match(normalise(text)):
        return found[0].kind, found[0].name
    status = record.api_error_status if isinstance(record.api_error_status, int) else 0
    if record.error == "billing_error":
        return Kind.BILLING, "billing_error"
    if record.error == "authentication_failed" or status in {401, 403}:
        return Kind.AUTH, "authentication_failed"
    if record.error == "server_error" or status >= 500:
        return Kind.SERVER_ERROR, "server_error"
    if record.error == "invalid_request":
        return Kind.OK, "invalid_request"
    return None, ""


def _limit(limits: dict[str, Any], text: str) -> Limit:
    """The limit that the record names; for a spend limit the words decide, because the record then names a window."""
    by_words = limit_of(normalise(text))
    name = limits.get("rateLimitType")
    exact = _LIMITS.get(name) if isinstance(name, str) else None
    return by_words if by_words is Limit.SPEND or exact is None else exact


def _words(record: ConversationRecord) -> str:
    """The text of the message on one line."""
    return " ".join(record.text.split())


def _identifier(record: ConversationRecord) -> str:
    """A value that distinguishes this hit from another with the same words."""
    value = record.uuid if isinstance(record.uuid, str) and SESSION_ID.fullmatch(record.uuid) else None
    return value or (record.at.isoformat() if record.at else "unknown")


def _epoch(value: object) -> datetime | None:
    """The instant of a Unix time in seconds, if it is in this century; else None."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 946684800 <= value < 4102444800:
        return None
    return datetime.fromtimestamp(value, UTC)
