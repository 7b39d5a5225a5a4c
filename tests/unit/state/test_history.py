"""History entries: written in one shape, readable in any shape, and kept unchanged."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from failover_oneshot.state.history import HistoryEntry, newest_first, read, swaps_since, with_history
from failover_oneshot.state.model import LastSwap, State, stamp
from failover_oneshot.state.store import StateStore
from tests.support.builders import NOW, at

SWAP = HistoryEntry(
    at=at(hours=-1),
    outcome="swapped",
    from_="main",
    to="backup",
    reason="because",
    rejected={"third": "no login"},
    sessions={"ccl-auto-11": "recreate done"},
    exhausted_until=at(hours=2),
    hits={"ccl-auto-11": at(hours=-1, minutes=-1)},
)
WAIT = HistoryEntry(at=NOW, outcome="waiting", from_="main", since=at(hours=-1), account="backup")
FOREIGN: list[dict[str, Any]] = [
    {},
    {"at": 7, "outcome": [], "from": {}, "to": 1, "reason": None, "hits": 3, "since": "soon"},
    {"z": 1, "at": "2026-11-24T09:10:00+02:00", "outcome": "danced", "ticket": {"deep": [1]}, "a": 2},
    {"at": "2026-11-24T09:10:00", "outcome": "swapped"},
    {"at": "0001-01-01T00:00:00+14:00", "outcome": "swapped", "sessions": {"s": 3}, "rejected": "x"},
]


@pytest.mark.parametrize("entry", [SWAP, WAIT])
def test_a_written_entry_is_read_back(entry: HistoryEntry) -> None:
    state = with_history(State(), entry, 50)
    assert [*newest_first(state.history)] == [entry]


def test_an_entry_has_the_keys_of_its_kind_in_order() -> None:
    """Scripts and people read them: no key is added, left out or moved."""
    state = with_history(with_history(State(), SWAP, 50), WAIT, 50)
    assert json.dumps(state.history[0]) == (
        '{"at": "2026-11-24T09:00:00Z", "outcome": "swapped", "from": "main", "to": "backup", "reason": "because", '
        '"rejected": {"third": "no login"}, "sessions": {"ccl-auto-11": "recreate done"}, '
        '"exhausted_until": "2026-11-24T12:00:00Z", "hits": {"ccl-auto-11": "2026-11-24T08:59:00Z"}}'
    )
    assert json.dumps(state.history[1]) == (
        '{"at": "2026-11-24T10:00:00Z", "outcome": "waiting", "from": "main", "to": null, "reason": "", '
        '"since": "2026-11-24T09:00:00Z", "account": "backup", "until": null}'
    )


def test_the_newest_entries_are_kept_and_all_are_counted() -> None:
    state = State()
    for _ in range(3):
        state = with_history(with_history(state, SWAP, 2), WAIT, 2)
    assert [entry.outcome for entry in newest_first(state.history)] == ["waiting", "swapped"]
    assert state.counters == {"swapped": 3, "waiting": 3}


def test_foreign_entries_are_kept_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.write_text(json.dumps({"version": 1, "history": FOREIGN}))
    store = StateStore(path, 1)
    store.save(with_history(store.load(NOW, quarantine=True).state, SWAP, 50))
    kept = json.loads(path.read_bytes())["history"]
    assert json.dumps(kept[:-1]) == json.dumps(FOREIGN)


def test_unreadable_fields_are_skipped() -> None:
    nothing, wrong, danced, naive, ancient = map(read, FOREIGN)
    assert nothing == wrong == HistoryEntry()
    assert danced == HistoryEntry(at=at(hours=-2, minutes=-50), outcome="danced")
    assert naive == HistoryEntry(outcome="swapped")
    assert ancient == HistoryEntry(outcome="swapped", sessions={"s": "3"})


def test_hits_in_the_old_format_are_read_as_quotes() -> None:
    hits = [{"session": "a", "snippet": "x"}, {"session": "b", "snippet": "x"}, 7, {"session": "c"}]
    assert read({"hits": hits}) == HistoryEntry(quotes={"x": ["a", "b"]})


KEYS = st.sampled_from([*HistoryEntry.__struct_encode_fields__, "ticket"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just(stamp(NOW)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(KEYS, VALUES))
def test_any_entry_can_be_read(written: dict[str, Any]) -> None:
    """Every field then has its declared type."""
    entry = read(written)
    assert msgspec.convert(msgspec.to_builtins(entry), HistoryEntry) == entry


def test_the_swaps_of_the_last_hour_are_counted() -> None:
    ago = [{"at": stamp(at(minutes=-n)), "outcome": "swapped"} for n in (50, 61, 5)]
    other = [{"at": stamp(at(minutes=-1)), "outcome": "failed"}, {"at": stamp(at(minutes=1)), "outcome": "swapped"}]
    state = State(history=(*ago, *other, *FOREIGN))
    assert swaps_since(state, at(hours=-1), NOW) == [at(minutes=-50), at(minutes=-5)]


def test_the_last_swap_counts_even_if_the_history_lacks_it() -> None:
    last = LastSwap(at=at(minutes=-5), from_="main", to="backup")
    assert swaps_since(State(last_swap=last), at(hours=-1), NOW) == [last.at]
    history = ({"at": stamp(last.at), "outcome": "swapped"},)
    assert swaps_since(State(last_swap=last, history=history), at(hours=-1), NOW) == [last.at]
