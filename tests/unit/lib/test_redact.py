"""Text that looks like a secret is replaced; other text stays unchanged."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failover_oneshot.lib.redact import redact

FAKE = "FAKE0aB1cD2e"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"key sk-ant-{FAKE} was refused", "key [redacted] was refused"),
        (f"ghp_{FAKE} and glpat-{FAKE}", "[redacted] and [redacted]"),
        (f"a JWT eyJ{FAKE}.{FAKE}.{FAKE}!", "a JWT [redacted]!"),
        (f"Authorization: Bearer {FAKE}", "Authorization: Bearer [redacted]"),
        (f"https://me:{FAKE}@example.invalid/x", "https://[redacted]@example.invalid/x"),
        (f"CLAUDE_CODE_OAUTH_TOKEN={FAKE} claude", "CLAUDE_CODE_OAUTH_TOKEN=[redacted] claude"),
        (f'{{"password": "{FAKE}"}}', '{"password": "[redacted]"}'),
        (f"{FAKE * 4}", "[redacted]"),
        ("deadbeef" * 5, "[redacted]"),
    ],
)
def test_a_secret_is_replaced(text: str, expected: str) -> None:
    assert redact(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "You've hit your 5-hour limit · resets 12:20pm (UTC)",
        "swap.command failed (exit status 3): no seat left for backup",
        "/home/me/.claude-accounts/backup/.credentials.json does not exist",
        "token expired",
        "48354fc7-cfbb-4298-b623-94a401befdfa",
        "a-long-name-in-words-without-any-digit-in-it-at-all",
    ],
)
def test_text_without_a_secret_is_unchanged(text: str) -> None:
    assert redact(text) == text


@given(st.text(), st.text(st.sampled_from("abcXYZ019_-"), min_size=8, max_size=40), st.text())
def test_a_key_is_replaced_anywhere_in_the_text(before: str, key: str, after: str) -> None:
    assert f"sk-{key}" not in redact(f"{before} sk-{key} {after}")
