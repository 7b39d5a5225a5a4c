"""The table of wordings: each row has an example, keys in every matching text, and a source."""

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from failover_oneshot.agents.claude.wordings import TABLE, WordingRow, match
from failover_oneshot.detection.text import normalise
from tests.support.paths import DATA, PANES
from tests.support.recordings import panes

RECORDED = panes()


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_every_row_has_an_example_that_it_matches(row: WordingRow) -> None:
    found = match(normalise(row.example))
    assert found is not None
    assert found[0].name == row.name


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
@settings(max_examples=60)
@given(st.data())
def test_a_text_that_a_row_matches_has_one_of_its_keys(row: WordingRow, data: st.DataObject) -> None:
    """So searching for the keys first misses no match."""
    text = normalise(data.draw(st.from_regex(row.pattern)))
    if re.match(row.pattern, text):
        assert any(key in text for key in row.keys), text


def test_every_row_names_a_source_that_exists() -> None:
    names = {pane.name for pane in RECORDED} | {"messages.json", "wordings.json"}
    assert {row.source for row in TABLE} <= names
    assert (PANES / "messages.json").exists()
    assert json.loads((DATA / "wordings.json").read_text())
