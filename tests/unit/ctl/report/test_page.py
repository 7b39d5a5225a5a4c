"""The report's page: no text of the state can become markup."""

import re

from hypothesis import given
from hypothesis import strategies as st

from failover_oneshot.ctl.report.page import MOST_ROWS, page
from failover_oneshot.ctl.report.timeline import timeline
from failover_oneshot.state.model import AccountMemory, State, stamp
from tests.support.builders import NOW, at
from tests.support.histories import hits, swapped, told
from tests.support.skeleton import Skeleton


def hostile(text: str) -> bytes:
    """A page with the text in every place where the state can contain one."""
    history = (
        swapped(-600, text, text, reason=text, hits={text: stamp(at(minutes=-605))}, rejected={text: text},
                sessions={text: text}, exhausted_until=stamp(at(minutes=-500))),
        {**swapped(-500, text, text, reason=text), "outcome": "failed"},
    )  # fmt: skip
    state = State(active_account=text, history=history, accounts={text: AccountMemory()})
    return page(timeline(state, (text,), at(hours=-24), NOW), state, 50)


TRICKS = (
    *("<script>", "</script>", "</style>", "</title>", "<!--", "-->", '"', "'", "&lt;", "&#60;", "<img src=x", ">"),
    *(" onerror=alert(1)", "]]>", "<![CDATA[", "</td></tr></table>", "\x00", "\u202e", "\ud800", "`", "=", "\n", "\r"),
    *("javascript:", "<svg/onload=", "</q>", " x=", "é", "\x1b[31m"),
)
SNIPPETS = st.text(max_size=40) | st.lists(st.sampled_from(TRICKS), max_size=8).map("".join)


@given(SNIPPETS)
def test_no_text_becomes_markup(text: str) -> None:
    """The elements and attributes are the same as with a harmless text."""
    data = hostile(text or "x")
    assert Skeleton(data).elements == Skeleton(hostile("x")).elements
    assert not re.search("[\x00-\x08\x1b\x7f-\x9f\u202a-\u202e]", data.decode()), "a control or direction mark"


def test_the_comparison_finds_added_markup() -> None:
    assert Skeleton(b"<p>a</p>").elements != Skeleton(b"<p><script>a</p>").elements
    assert Skeleton(b'<p title="a">').elements != Skeleton(b'<p title="a" onclick="b">').elements


def test_a_text_is_shown_as_it_is() -> None:
    assert "<b>5 & 6</b>" in Skeleton(hostile("<b>5 & 6</b>")).text
    secret = "token=FAKE-secret-of-somebody"
    facts = told(swapped(-60, reason=secret, rejected={"x": secret}))
    assert "FAKE" not in page(facts, State(), 50).decode()


def test_the_page_loads_nothing_from_elsewhere() -> None:
    data = hostile("x").decode()
    assert not re.search(r"https?:|//|url\(|@import|<script|<link|<img|<iframe", data)


def test_ten_thousand_entries_make_a_page_of_bounded_size() -> None:
    history = tuple(swapped(-1400 + n / 10, hits=hits(**{f"s-{n % 700}": -1401 + n / 10})) for n in range(10_000))
    facts = told(*history, active_account="backup")
    data = page(facts, State(history=history), 10_000).decode()
    assert data.count("<tr") < 2 * MOST_ROWS + 10
    assert "older events not shown" in data
    assert len(data) < 4_000_000


def test_an_empty_history_does_not_claim_that_nothing_happened() -> None:
    text = Skeleton(page(told(), State(), 50)).text
    assert "There is no history" in text
    assert "None in the recorded history" in text
