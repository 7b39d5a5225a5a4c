"""What a credentials file of any program tells about itself: whose it is, its refresh tokens, whether blank, how fresh.

Pure. Only files that are JSON objects tell anything; of every other one nothing is known but its bytes.
"""

from collections.abc import Iterator
from typing import Any

from failover_oneshot.accounts import json_document

# The last key is the field; where it stands does not matter. The names are those of OAuth and of the agents' own files.
IDENTITIES = ("accountUuid", "account_uuid", "account_id", "accountId", "emailAddress", "email", "active")
REFRESH = ("refresh_token", "refreshToken")
SECRETS = (*REFRESH, "access_token", "accessToken", "id_token", "api_key", "apiKey", "OPENAI_API_KEY")
MILLISECONDS = ("expiresAt", "expiry_date", "expires_at", "expires")
STAMPS = ("last_refresh", "lastRefresh")
DEPTH = 4  # deeper than any login stands


def identity(content: bytes) -> str | None:
    """Who the file says that it belongs to, by the strongest field that it has."""
    fields = list(_fields(content))
    for key in IDENTITIES:
        for name, value in fields:
            if name == key and isinstance(value, str) and value.strip() and ("@" in value or key != "active"):
                return value.strip().lower()
    return None


def refresh_tokens(content: bytes) -> frozenset[str]:
    """The single-use tokens in it: two files that share one hold the same login."""
    return frozenset(v for k, v in _fields(content) if k in REFRESH and isinstance(v, str) and v.strip())


def blank(content: bytes) -> bool:
    """Whether there is no login in it: an empty file, or one whose tokens have all been emptied."""
    if not content.strip():
        return True
    secrets = [value for key, value in _fields(content) if key in SECRETS]
    return bool(secrets) and not any(isinstance(value, str) and value.strip() for value in secrets)


def expires(content: bytes) -> float | None:
    """When the access token in it expires, in seconds since 1970; None when it does not say."""
    times = _times(content)
    told = next((times[key] for key in MILLISECONDS if key in times), None)
    return told / 1000 if told and told > 1e11 else told  # some programs write seconds under the same names


def older(content: bytes, than: bytes) -> bool:
    """Whether the file is certainly the older one of two, by a time that both name."""
    mine, theirs = _times(content), _times(than)
    shared = [key for key in mine if key in theirs]
    return bool(shared) and all(mine[key] <= theirs[key] for key in shared) and any(mine[k] < theirs[k] for k in shared)


def _times(content: bytes) -> dict[str, float]:
    times: dict[str, float] = {}
    for key, value in _fields(content):
        if key in MILLISECONDS and isinstance(value, (int, float)) and not isinstance(value, bool):
            times.setdefault(key, float(value))
        elif key in STAMPS and isinstance(value, str) and (at := _instant(value)) is not None:
            times.setdefault(key, at)
    return times


def _instant(text: str) -> float | None:
    """Seconds since 1970 of an ISO 8601 time (UTC when it names no zone)."""
    from datetime import UTC, datetime

    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


def _fields(content: bytes) -> Iterator[tuple[str, Any]]:
    try:
        values = json_document.parse(content).values
    except ValueError:
        return
    yield from _walk(values, DEPTH)


def _walk(values: dict[str, Any], depth: int) -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict) and depth:
            yield from _walk(value, depth - 1)
        else:
            yield key, value
