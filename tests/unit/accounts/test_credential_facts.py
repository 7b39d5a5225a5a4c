"""The facts in a credentials file of any program."""

import json
from typing import Any

import pytest

from failover_oneshot.accounts import credential_facts


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b'{"tokens": {"account_id": "ACC", "refresh_token": "r"}}', "acc"),
        (b'{"email": "e@x", "account": {"accountUuid": "u"}}', "u"),
        (b'{"active": "me@example.com", "old": []}', "me@example.com"),
        (b'{"active": "yes"}', None),
        (b'{"account_id": ""}', None),
        (b"plain text", None),
        (b"", None),
    ],
)
def test_the_identity_that_a_file_names(content: bytes, says: str | None) -> None:
    assert credential_facts.identity(content) == says


@pytest.mark.parametrize(
    ("content", "blank"),
    [
        (b"", True),
        (b" \n", True),
        (b"x", False),
        (b"{}", False),
        (b'{"tokens": {"refresh_token": "", "access_token": null}}', True),
        (b'{"tokens": {"refresh_token": "r", "access_token": ""}}', False),
    ],
)
def test_a_file_without_tokens_is_blank(content: bytes, blank: bool) -> None:
    assert credential_facts.blank(content) is blank


@pytest.mark.parametrize(
    ("one", "other", "older"),
    [
        ({"expiry_date": 1}, {"expiry_date": 2}, True),
        ({"expiry_date": 2}, {"expiry_date": 2}, False),
        ({"expiry_date": 1}, {"expiresAt": 2}, False),
        ({"last_refresh": "2026-01-01T00:00:00Z"}, {"last_refresh": "2026-01-01T02:00:00+01:00"}, True),
        ({"last_refresh": "nonsense"}, {"last_refresh": "2026-01-01T02:00:00+01:00"}, False),
        ({"expiry_date": True}, {"expiry_date": 2}, False),
    ],
)
def test_the_older_of_two_files(one: dict[str, Any], other: dict[str, Any], older: bool) -> None:
    assert credential_facts.older(json.dumps(one).encode(), json.dumps(other).encode()) is older
