"""The facts in a credentials file of any program."""

import json
from itertools import product
from typing import Any

import pytest

from failover_oneshot.accounts import credential_facts


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b'{"tokens": {"account_id": "ACC", "refresh_token": "r"}}', "acc"),
        (b'{"email": "e@x", "account": {"accountUuid": "u"}}', "u"),
        (b'{"active": "me@example.com", "old": []}', "me@example.com"),
        (b'{"email": "\xff@x", "email": "E\xff@x"}', "e\\udcff@x"),
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
        (b'{"OPENAI_API_KEY": "sk-fake", "tokens": null}', False),
        (b'{"OPENAI_API_KEY": null, "tokens": null}', True),
        (b'{"primaryApiKey": "sk-fake"}', False),
        (b'{"primaryApiKey": ""}', True),
        (b'{"claudeAiOauth": {"accessToken": "fake-setup-token", "refreshToken": null}}', False),
        (b'\xef\xbb\xbf{"accessToken": "fake", "name": "\xff", "accessToken": ""}', True),
    ],
)
def test_a_file_without_tokens_is_blank(content: bytes, blank: bool) -> None:
    assert credential_facts.blank(content) is blank


# One moment, in all forms that programs write.
WRITTEN = [
    {"expiresAt": value}
    for value in (
        *(1795815088000, 1795815088, 1795815088.0, "1795815088000", " 1795815088 "),
        *("2026-11-27T21:31:28Z", "2026-11-27T21:31:28.000+00:00", "2026-11-27T22:31:28+01:00", "2026-11-27 21:31:28"),
    )
]
NO_TIMES: list[Any] = [None, True, "", "soon", "nan", "Infinity", 10**400, [1], "0001-01-01T00:00:00+14:00x"]


@pytest.mark.parametrize("written", WRITTEN)
def test_the_expiry_is_understood_in_each_unit_and_form(written: dict[str, Any]) -> None:
    assert credential_facts.expires(json.dumps({"claudeAiOauth": written}).encode()) == 1795815088


@pytest.mark.parametrize("value", NO_TIMES, ids=lambda value: repr(value)[:20])
def test_what_is_not_a_time_is_no_expiry(value: Any) -> None:
    assert credential_facts.expires(json.dumps({"expiresAt": value, "accessToken": "fake"}).encode()) is None


@pytest.mark.parametrize(
    ("one", "other", "older"),
    [
        ({"expiry_date": 1}, {"expiry_date": 2}, True),
        ({"expiry_date": 2}, {"expiry_date": 2}, False),
        ({"expiry_date": 1}, {"expiresAt": 2}, False),
        ({"last_refresh": "2026-01-01T00:00:00Z"}, {"last_refresh": "2026-01-01T02:00:00+01:00"}, True),
        ({"last_refresh": "nonsense"}, {"last_refresh": "2026-01-01T02:00:00+01:00"}, False),
        ({"last_refresh": 1795815000}, {"last_refresh": "2026-11-27T22:51:28Z"}, True),
        ({"expiresAt": 1795815088}, {"expiresAt": 1795815088123}, False),  # perhaps the same moment, cut off
        ({"expiresAt": 1795815088001}, {"expiresAt": 1795815088123}, True),
        *((one, other, False) for one, other in product(WRITTEN, WRITTEN)),
        *((one, {"expiresAt": 1795815089}, True) for one in WRITTEN),
        *(({"expiresAt": "1795815087999"}, other, True) for other in WRITTEN),
        *(({"expiresAt": value}, {"expiresAt": 1795815089}, False) for value in NO_TIMES),
        ({"expiry_date": True}, {"expiry_date": 2}, False),
    ],
)
def test_the_older_of_two_files(one: dict[str, Any], other: dict[str, Any], older: bool) -> None:
    assert credential_facts.older(json.dumps(one).encode(), json.dumps(other).encode()) is older
