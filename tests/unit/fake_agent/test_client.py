"""The words and lines that the fake agent draws."""

from datetime import UTC, datetime

import pytest

from failover_oneshot.fake_agent.client import block, reset_words

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("until", "words"),
    [
        (NOON.replace(hour=20), "8pm (UTC)"),
        (NOON.replace(minute=20), "12:20pm (UTC)"),
        (NOON.replace(day=25, hour=0, minute=5), "12:05am (UTC)"),
        (NOON.replace(day=26, hour=10, minute=17), "Nov 26, 10:17am (UTC)"),
    ],
)
def test_a_reset_in_claude_codes_words(until: datetime, words: str) -> None:
    assert reset_words(until, NOON) == words


def test_a_block_wraps_under_its_text() -> None:
    assert block("● ", "one two\nthree", 7) == ["● one", "  two", "  three"]
    assert block("❯ ", "", 7) == ["❯ "]
