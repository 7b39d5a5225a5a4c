"""Facts from any program's credentials file: owner, refresh tokens, whether it is blank, and its age.

Pure. Only files that are JSON objects hold facts. Of any other file only the bytes are known.
"""

from collections.abc import Iterator
from typing import Any

from failover_oneshot.accounts import json_document

# Fields are found by name at any place in the file. The names come from OAuth and from the agents' own files.
ACCOUNTS = ("accountUuid", "account_uuid", "account_id", "accountId")
IDENTITIES = (*ACCOUNTS, "emailAddress", "email", "active")
REFRESH = ("refresh_token", "refreshToken")
SECRETS = (*REFRESH, "access_token", "accessToken", "id_token", "api_key", "apiKey", "OPENAI_API_KEY")
MILLISECONDS = ("expiresAt", "expiry_date", "expires_at", "expires")
STAMPS = ("last_refresh", "lastRefresh")
DEPTH = 4  # deeper than any known file nests its credentials


def identity(content: bytes) -> str | None:
    """The owner that the file names, by the strongest field that it has; None when it names none."""
    fields = list(_fields(content))
    for key in IDENTITIES:
        for name, value in fields:
            if name == key and isinstance(value, str) and value.strip() and ("@" in value or key != "active"):
                return value.strip().lower()
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
    secrets = [value for key, value in _fields(content) if key in SECRETS]
    return bool(secrets) and not any(isinstance(value, str) and value.strip() for value in secrets)


def expires(content: bytes) -> float | None:
    """When the access token expires, in seconds since 1970; None when the file does not say."""
    times = _times(content)
    at = next((times[key] for key in MILLISECONDS if key in times), None)
    return at / 1000 if at and at > 1e11 else at  # some programs write seconds under the same names


def older(content: bytes, than: bytes) -> bool:
    """Whether the file is certainly the older of two, by a time that both hold."""
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
    """An ISO 8601 time as seconds since 1970 (UTC without a zone); None when it is not one."""
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
