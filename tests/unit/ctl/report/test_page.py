"""The report's page: nothing in the state can break out of it."""

import re
from html.parser import HTMLParser
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from failover_oneshot.ctl.report.page import MOST_ROWS, page
from failover_oneshot.ctl.report.timeline import Timeline, timeline
from failover_oneshot.state.model import AccountMemory, State, stamp
from tests.support.builders import NOW, at

ACCOUNTS = ("main", "backup")


def swapped(minutes: float, from_: str = "main", to: str = "backup", **more: Any) -> dict[str, Any]:
    """An entry of history, so many minutes after NOW."""
    return {"at": stamp(at(minutes=minutes)), "outcome": "swapped", "from": from_, "to": to, "reason": "r", **more}


def hits(**sessions: float) -> dict[str, str]:
    """What an entry says of its hits: each session, and so many minutes after NOW."""
    return {session: stamp(at(minutes=minutes)) for session, minutes in sessions.items()}


def told(*history: dict[str, Any], hours: float = 24, **state: Any) -> Timeline:
    return timeline(State(history=history, **state), ACCOUNTS, at(hours=-hours), NOW)


class Skeleton(HTMLParser):
    """The elements with the names of their attributes, and apart from them the text."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self.elements: list[object] = []
        self.text = ""
        self.feed(data.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, [name for name, _ in attrs]))

    def handle_endtag(self, tag: str) -> None:
        self.elements.append(tag)

    def handle_comment(self, data: str) -> None:
        self.elements.append(f"comment {len(data)}")

    def handle_data(self, data: str) -> None:
        self.text += data


def hostile(text: str) -> bytes:
    """A page in which that text stands wherever the state can hold one."""
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


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(SNIPPETS)
def test_no_text_breaks_out_of_the_markup(text: str) -> None:
    """The elements and attributes are the same as for a harmless text."""
    data = hostile(text or "x")
    assert Skeleton(data).elements == Skeleton(hostile("x")).elements
    assert not re.search("[\x00-\x08\x1b\x7f-\x9f\u202a-\u202e]", data.decode()), "nor does it turn the page around"


def test_the_breaking_out_would_be_seen() -> None:
    assert Skeleton(b"<p>a</p>").elements != Skeleton(b"<p><script>a</p>").elements
    assert Skeleton(b'<p title="a">').elements != Skeleton(b'<p title="a" onclick="b">').elements


def test_a_text_is_shown_as_it_is() -> None:
    assert "<b>5 & 6</b>" in Skeleton(hostile("<b>5 & 6</b>")).text
    secret = "token=FAKE-secret-of-somebody"
    facts = told(swapped(-60, reason=secret, rejected={"x": secret}))
    assert "FAKE" not in page(facts, State(), 50).decode()


def test_the_page_needs_nothing_from_elsewhere() -> None:
    data = hostile("x").decode()
    assert not re.search(r"https?:|//|url\(|@import|<script|<link|<img|<iframe", data)


def test_ten_thousand_entries_are_a_page_that_a_browser_can_lay_out() -> None:
    history = tuple(swapped(-1400 + n / 10, hits=hits(**{f"s-{n % 700}": -1401 + n / 10})) for n in range(10_000))
    facts = told(*history, active_account="backup")
    data = page(facts, State(history=history), 10_000).decode()
    assert data.count("<tr") < 2 * MOST_ROWS + 10
    assert "older ones" in data
    assert len(data) < 4_000_000


def test_an_empty_history_is_not_read_as_peace() -> None:
    text = Skeleton(page(told(), State(), 50)).text
    assert "The state holds no history" in text
    assert "the history tells" in text
