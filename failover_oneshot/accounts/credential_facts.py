"""Facts from any program's credentials file: owner, refresh tokens, whether it is blank, and its age.

Pure. Only files that are JSON objects hold facts. Of any other file only the bytes are known.
"""

from collections.abc import Iterator
from math import isfinite
from typing import Any

from failover_oneshot.accounts import json_document

# Fields are found by name at any place in the file. The names come from OAuth and from the agents' own files.
ACCOUNTS = ("accountUuid", "account_uuid", "account_id", "accountId")
IDENTITIES = (*ACCOUNTS, "emailAddress", "email", "active")
REFRESH = ("refresh_token", "refreshToken")
CLAUDE = "claudeAiOauth"  # beside this block Claude Code keeps tokens of other services, which are no login
SECRETS = (
    *(*REFRESH, "access_token", "accessToken", "id_token"),
    *("api_key", "apiKey", "OPENAI_API_KEY", "primaryApiKey"),
)
EXPIRIES = ("expiresAt", "expiry_date", "expires_at", "expires")
STAMPS = (*EXPIRIES, "last_refresh", "lastRefresh")
DEPTH = 4  # deeper than any known file nests its credentials


def identity(content: bytes) -> str | None:
    """The owner that the file names, by the strongest field that it has; None when it names none.

    It can be printed: bytes that are not UTF-8 are escaped.
    """
    fields = list(_fields(content))
    for key in IDENTITIES:
        for name, value in fields:
            if name == key and isinstance(value, str) and value.strip() and ("@" in value or key != "active"):
                return value.strip().lower().encode(errors="backslashreplace").decode()
    return None


def account(content: bytes) -> str | None:
    """The id of the account that the credentials themselves name; None when they name none."""
    for name, value in _fields(content):
        if name in ACCOUNTS and isinstance(value, str) and value.strip():
            return value.strip().lower()
    return None


def refresh_tokens(content: bytes) -> frozenset[str]:
    """The single-use tokens in the file. Two files that share one hold the same credentials."""
    return frozenset(v for k, v in _fields(content) if k in REFRESH and isinstance(v, str) and v.strip())


def blank(content: bytes) -> bool:
    """Whether the file holds no credentials: it is empty, or all its tokens are."""
    if not content.strip():
        return True
    secrets = [value for key, value in _fields(content, CLAUDE) if key in SECRETS]
    return bool(secrets) and not any(isinstance(value, str) and value.strip() for value in secrets)


def expires(content: bytes) -> float | None:
    """When the access token expires, in seconds since 1970; None when the file does not say."""
    times = _times(content)
    return next((times[key] for key in EXPIRIES if key in times), None)


def older(content: bytes, than: bytes) -> bool:
    """Whether the file is certainly the older of two, by a time that both hold."""
    mine, theirs = _times(content), _times(than)
    pairs = [_comparable(mine[key], theirs[key]) for key in mine if key in theirs]
    return bool(pairs) and all(one <= other for one, other in pairs) and any(one < other for one, other in pairs)


def _comparable(one: float, other: float) -> tuple[float, float]:
    """Both times, without fractions of a second unless both have one: whole seconds may be cut off."""
    return (one, other) if one % 1 and other % 1 else (one // 1, other // 1)


def instant(value: Any) -> float | None:
    """A time as any program writes it, in seconds since 1970; None when it is not one.

    A number or its text, in seconds or milliseconds, or an ISO 8601 text (UTC without a zone).
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        at = float(value)
    except OverflowError:
        return None
    except ValueError:
        return _iso(str(value))
    if not isfinite(at):
        return None
    return at / 1000 if abs(at) > 1e11 else at  # as seconds that would be the year 5138, as milliseconds it is 1973


def _iso(text: str) -> float | None:
    from datetime import UTC, datetime

    try:
        at = datetime.fromisoformat(text.strip())
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def _times(content: bytes) -> dict[str, float]:
    """The times that the file holds, by field, in seconds since 1970."""
    times: dict[str, float] = {}
    for key, value in _fields(content):
        if key in STAMPS and (at := instant(value)) is not None:
            times.setdefault(key, at)
    return times


def _fields(content: bytes, block: str = "") -> Iterator[tuple[str, Any]]:
    """All fields of the file; if it has that ``block``, only the block's."""
    try:
        values = json_document.parse(content).values
    except ValueError:
        return
    yield from _walk(values[block] if isinstance(values.get(block), dict) else values, DEPTH)


def _walk(values: dict[str, Any], depth: int) -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict) and depth:
            yield from _walk(value, depth - 1)
        else:
            yield key, value
