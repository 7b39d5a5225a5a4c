"""Recorded screens contain no secrets and are still classified the same."""

from pathlib import Path

import pytest

from failover_oneshot.agents.claude.classify import classify
from failover_oneshot.config.model import Quota
from failover_oneshot.lib.scrub import scrub
from tests.support.paths import PANES

RECORDINGS = sorted(PANES.glob("*/*.txt"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("key sk-ant-api03-FAKEFAKEFAKE done", "key [redacted] done"),
        ("I am bob.smith@corp.example.com", "I am someone@example.invalid"),
        ("in /home/bob/work and /home/bobby", "in ~/work and /home/bobby"),
        (f"  {'FAKE0aB1' * 9}\n  cD2eF3gH\n  words", "  [redacted]\n  [redacted]\n  words"),
        ("token=FAKEsecretFAKE\nplain words below", "token=[redacted]\nplain words below"),
        ("Claude usage limit reached · resets 8pm", "Claude usage limit reached · resets 8pm"),
    ],
)
def test_secrets_addresses_and_homes_are_removed(text: str, expected: str) -> None:
    assert scrub(text, ["/home/bob", "", "/"]) == expected


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_a_recording_is_classified_the_same_after_scrubbing(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    before, after = classify(text, "", Quota()), classify(scrub(text, ["/home/op"]), "", Quota())
    assert (before.kind, before.rule, before.reset_text) == (after.kind, after.rule, after.reset_text)
