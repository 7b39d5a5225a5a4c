"""The URL that is pinged."""

import pytest

from failover_oneshot.monitoring.healthchecks import address


@pytest.mark.parametrize(
    ("url", "end", "expected"),
    [
        ("https://hc.example.invalid/FAKE", "", "https://hc.example.invalid/FAKE"),
        ("https://hc.example.invalid/FAKE/", "", "https://hc.example.invalid/FAKE/"),
        ("https://hc.example.invalid/FAKE", "/fail", "https://hc.example.invalid/FAKE/fail"),
        ("https://hc.example.invalid/FAKE/", "/start", "https://hc.example.invalid/FAKE/start"),
        ("https://hc.example.invalid/FAKE?create=1", "/fail", "https://hc.example.invalid/FAKE/fail?create=1"),
    ],
)
def test_the_ending_is_appended_to_the_path(url: str, end: str, expected: str) -> None:
    assert address(url, end) == expected
