"""The explanation of each recorded pane agrees with its reading."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failover_oneshot.agents.base import CHROME
from failover_oneshot.agents.claude.classify import classify
from failover_oneshot.agents.claude.explain import explain
from failover_oneshot.config.model import Quota
from failover_oneshot.model import Kind
from tests.support.paths import PANES
from tests.support.sandbox import HIT

RECORDINGS = sorted(PANES.glob("*/*.txt"))


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_each_recording_is_explained_line_by_line(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    explained = explain(text, "", Quota())
    assert explained.reading == classify(text, "", Quota())
    assert [line.text for line in explained.lines] == [line.rstrip() for line in text.rstrip().split("\n")]
    fired = [line for line in explained.lines if line.fired]
    if explained.reading.rule and explained.reading.kind is not Kind.OK:
        assert len(fired) == 1, "the line on which the rule fired is marked"
        assert fired[0].examined or explained.busy


def test_chrome_is_chrome_and_the_message_is_an_answer() -> None:
    parts = {" ".join(line.text.split())[:18]: line for line in explain(HIT, "", Quota()).lines}
    hit = parts["⎿ You've hit your "]
    assert (parts["❯ please refactor "].part, hit.part, hit.examined) == ("prompt", "answer", True)
    assert (parts["❯"].part, parts["◐ medium · /effort"].part) == (CHROME, CHROME)
    assert parts["⚠ Usage limit reac"].fired
    assert parts["▐▛███▛█ Claude Cod"].examined is False


@pytest.mark.parametrize(
    ("text", "rule", "number"),
    [
        ("line\nerror: usage limit reached", "quota.daemon", 2),
        ("5-hour limit reached ∙ resets 3am\n\n", "quota.window-reached", 1),
        ("❯ go\n\n  ⎿  API Error: 529 Overloaded", "error.api", 3),
        ("❯ go\n\n  ⎿  my own words: none left today", "quota.extra", 3),
        ("❯ go\n  ⎿  too many requests: 529 (not your usage limit)", "error.veto", 2),
    ],
)
def test_the_deciding_line_is_marked(text: str, rule: str, number: int) -> None:
    explained = explain(text, "", Quota(extra_patterns=("/none left \\w+/",)))
    assert explained.reading.rule == rule
    assert [line.number for line in explained.lines if line.fired] == [number]


@given(st.text(alphabet=st.sampled_from("❯●⎿✻▎⚠─│ \n\tab1.:") | st.characters(), max_size=400), st.text(max_size=3))
def test_any_text_is_explained(text: str, title: str) -> None:
    explained = explain(text, title, Quota())
    assert explained.reading == classify(text, title, Quota())
    assert [line.number for line in explained.lines] == list(range(1, len(explained.lines) + 1))
