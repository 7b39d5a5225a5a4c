"""What the newest record of a client's conversation says: exact evidence, where there is any. Reads only.

The shapes are those of docs/detection.md, "Records". Every field may be missing or of any type. What can not be made
out is None, and the screen decides.
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

TAIL = 64 * 1024  # bytes of a conversation that are read, from its end
_SNIPPET = 120

# What a user's record begins with when it is no prompt: the client's own commands, a shell line, an interruption.
_NO_PROMPT = ("<command-", "<local-command-", "<bash-", "[Request interrupted", "Caveat: ")
_LIMITS = {
    "five_hour": Limit.FIVE_HOUR,
    "seven_day": Limit.SEVEN_DAY,
    "seven_day_opus": Limit.SEVEN_DAY_OPUS,
    "seven_day_sonnet": Limit.SEVEN_DAY_SONNET,
    "seven_day_overage_included": Limit.MODEL,
    "overage": Limit.OVERAGE,
}


def read_tail(claude_dir: Path, client: AgentProcess) -> Reading | None:
    """What the newest telling record in the last 64 KiB of the client's conversation says; None when nothing does."""
    if not SESSION_ID.fullmatch(client.session_id):
        return None
    data = records.read_end(records.conversation(claude_dir, client), TAIL)
    reading = _newest(data) if data else None
    return replace(reading, busy=client.busy) if reading else None


def _newest(data: bytes) -> Reading | None:
    """By the records' own times: the client writes a conversation's first records in another order."""
    newest: tuple[ConversationRecord, str | None] | None = None
    at: datetime | None = None
    owner: str | None = None
    for record in records.decode(data):
        if record.type == "session-owner":
            owner = record.account_uuid if isinstance(record.account_uuid, str) else None
        if record.is_sidechain is True or not _tells(record):
            continue
        time = record.at
        if at is None or time is None or time >= at:
            newest, at = (record, owner), time or at
    return _reading(*newest) if newest else None


def _tells(record: ConversationRecord) -> bool:
    """Whether a record says how the session is: a prompt, an answer, an error."""
    message = record.message if isinstance(record.message, dict) else {}
    if record.type == "assistant":
        # what the client writes in the assistant's name without an error fills a gap: "No response requested."
        return record.is_api_error_message is True or message.get("model") != "<synthetic>"
    if record.type != "user" or record.is_meta is True or record.tool_use_result is not None:
        return False
    content = record.content
    if not content or not isinstance(content, str | list) or record.holds("tool_result"):
        return False
    return not _words(record).startswith(_NO_PROMPT)


def _reading(record: ConversationRecord, owner: str | None) -> Reading | None:
    """What a telling record says; None where only the screen can tell."""
    if record.is_api_error_message is not True:
        return Reading(kind=Kind.OK, evidence=Evidence.TRANSCRIPT, moved_on=True, printed_at=record.at)
    text = _words(record)
    limits = record.quota_limits if isinstance(record.quota_limits, dict) else {}
    kind, rule = _classify(record, text, limits)
    if kind is None or kind is Kind.WARNING:
        return None
    # Imported here: a healthy fleet's check needs neither.
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
    """The kind and the rule: by the exact fields, then the words (the client's own here), then the status."""
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
    """The client's exact name of it, but that it also blames a window for a spend limit that stands in its way."""
    by_words = limit_of(normalise(text))
    name = limits.get("rateLimitType")
    exact = _LIMITS.get(name) if isinstance(name, str) else None
    return by_words if by_words is Limit.SPEND or exact is None else exact


def _words(record: ConversationRecord) -> str:
    """The message's, on one line."""
    return " ".join(record.text.split())


def _identifier(record: ConversationRecord) -> str:
    """What tells this hit from another with the same words."""
    value = record.uuid if isinstance(record.uuid, str) and SESSION_ID.fullmatch(record.uuid) else None
    return value or (record.at.isoformat() if record.at else "unknown")


def _epoch(value: object) -> datetime | None:
    """Of this century, in seconds; anything else is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 946684800 <= value < 4102444800:
        return None
    return datetime.fromtimestamp(value, UTC)
