"""The report: what the state tells of the past, and that nothing in it can break out of the page."""

import json
import re
import stat
import subprocess
import sys
from datetime import datetime, timedelta
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from failover_oneshot.ctl.report.page import MOST_ROWS, page
from failover_oneshot.ctl.report.timeline import Timeline, ticks, timeline
from failover_oneshot.model import Outcome
from failover_oneshot.state.model import AccountMemory, HitMemory, SessionMemory, State, Waiting, stamp
from tests.support.builders import NOW, at
from tests.support.sandbox import Sandbox

ACCOUNTS = ("main", "backup")


def swapped(minutes: float, from_: str = "main", to: str = "backup", **more: Any) -> dict[str, Any]:
    """An entry of history, so many minutes after NOW."""
    return {"at": stamp(at(minutes=minutes)), "outcome": "swapped", "from": from_, "to": to, "reason": "r", **more}


def hits(**sessions: float) -> dict[str, str]:
    """What an entry says of its hits: each session, and so many minutes after NOW."""
    return {session: stamp(at(minutes=minutes)) for session, minutes in sessions.items()}


def told(*history: dict[str, Any], hours: float = 24, **state: Any) -> Timeline:
    return timeline(State(history=history, **state), ACCOUNTS, at(hours=-hours), NOW)


def minutes(moment: datetime) -> int:
    return round((moment - NOW).total_seconds() / 60)


def spans(facts: Timeline, account: str, kind: str) -> list[tuple[int, int]]:
    [lane] = [lane for lane in facts.lanes if lane.account == account]
    return [(minutes(span.start), minutes(span.end)) for span in getattr(lane, kind)]


# -- what is made of the state -------------------------------------------------------------------------------------


def test_who_was_active_follows_from_the_swaps() -> None:
    facts = told(swapped(-600), swapped(-100, "backup", "main"), active_account="main")
    assert spans(facts, "main", "active") == [(-1440, -600), (-100, 0)]
    assert spans(facts, "backup", "active") == [(-600, -100)]
    assert facts.known_from == at(minutes=-600)


def test_without_a_swap_the_active_account_was_so_all_the_time() -> None:
    facts = told(active_account="backup")
    assert spans(facts, "backup", "active") == [(-1440, 0)]
    assert spans(facts, "main", "active") == []


def test_an_account_is_exhausted_from_its_first_hit_to_its_reset() -> None:
    entry = swapped(-600, exhausted_until=stamp(at(minutes=-480)), hits=hits(a=-605, b=-603))
    facts = told(entry, active_account="backup")
    assert spans(facts, "main", "exhausted") == [(-605, -480)]
    now = told(accounts={"main": AccountMemory(exhausted_until=at(minutes=90), last_hit_at=at(minutes=-20))})
    assert spans(now, "main", "exhausted") == [(-20, 0)]


def test_stalled_is_from_the_first_hit_to_the_swap_and_while_no_account_is_free() -> None:
    """What overlaps counts once."""
    wait = {"at": stamp(at(minutes=-300)), "outcome": "waiting", "since": stamp(at(minutes=-360)), "account": "main"}
    facts = told(
        swapped(-600, hits=hits(a=-605)),
        wait,
        swapped(-300, "backup", "main", hits=hits(a=-370)),
        waiting=Waiting(since=at(minutes=-10)),
    )
    assert [(minutes(s.start), minutes(s.end)) for s in facts.stalls] == [(-605, -600), (-370, -300), (-10, 0)]
    assert (facts.stalled, facts.waited) == (85 * 60, 70 * 60)
    assert len(facts.events) == 2


def test_hits_are_those_of_the_swaps_and_of_the_sessions_now() -> None:
    """A hit that stands in both is one hit."""
    memory = SessionMemory(hit=HitMemory(first_seen=at(minutes=-605), snippet="x"))
    more = SessionMemory(hit=HitMemory(first_seen=at(minutes=-5), snippet="y"))
    facts = told(swapped(-600, hits=hits(a=-605)), sessions={"a": memory, "b": more})
    assert [(h.session, minutes(h.at)) for h in facts.hits] == [("a", -605), ("b", -5)]


def test_only_what_lies_in_the_time_is_counted() -> None:
    facts = told(swapped(-600, hits=hits(a=-605)), swapped(-30, "backup", "main", hits=hits(a=-31)), hours=1)
    assert (facts.count(Outcome.SWAPPED), len(facts.hits), facts.stalled) == (1, 1, 60)
    assert spans(facts, "backup", "active") == [(-60, -30)]


@pytest.mark.parametrize("hours", [1, 5, 24, 24 * 7, 24 * 30, 24 * 3650])
def test_the_axis_has_round_marks_and_not_too_many(hours: int) -> None:
    marks = ticks(NOW - timedelta(hours=hours), NOW)
    assert 0 < len(marks) <= 9
    assert all(NOW - timedelta(hours=hours) <= mark <= NOW for mark in marks)
    assert len({b - a for a, b in pairwise(marks)}) <= 1


ODD: tuple[Any, ...] = (
    None,
    True,
    7,
    -1.5,
    "",
    "x",
    "2026-11-24",
    "9999-12-31T23:59:59-12:00",
    [],
    [1, None],
    {},
    {"at": [{}]},
)
json_value = st.sampled_from(ODD)
moment = st.integers(-3000, 300).map(lambda m: stamp(at(minutes=m))) | json_value
entry = st.fixed_dictionaries(
    {},
    optional={
        "at": moment,
        "outcome": st.sampled_from(["swapped", "failed", "resumed", "waiting", "other"]) | json_value,
        "from": st.sampled_from(["main", "backup", "third"]) | json_value,
        "to": st.sampled_from(["main", "backup", "third"]) | json_value,
        "since": moment,
        "exhausted_until": moment,
        "hits": st.dictionaries(st.sampled_from(["a", "b"]), moment, max_size=2) | json_value,
        "rejected": json_value,
        "sessions": json_value,
    },
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(entry, max_size=8))
def test_any_history_has_a_timeline(history: list[dict[str, Any]]) -> None:
    """Whatever stands there: spans lie in the window, in order, without overlaps, and a page can be made."""
    facts = told(*history, active_account="main")
    for found in [facts.waits, facts.stalls, *(kind for lane in facts.lanes for kind in (lane.active, lane.exhausted))]:
        assert all(facts.start <= span.start < span.end <= facts.end for span in found)
        assert all(a.end <= b.start for a, b in pairwise(found))
    assert facts.waited <= facts.stalled <= 24 * 3600
    assert page(facts, State(history=tuple(history)), 50)


# -- the page ------------------------------------------------------------------------------------------------------


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


# -- the command ---------------------------------------------------------------------------------------------------


def report(sandbox: Sandbox, *argv: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    flags = ["--config", str(sandbox.config_file), "--state", str(sandbox.state_file)]
    done = subprocess.run(
        [sys.executable, "-m", "failover_oneshot.ctl", "report", *flags, *argv],
        env=sandbox.environ(), cwd=sandbox.home, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


def test_a_real_swap_is_in_the_report_with_its_evidence(blocked: Sandbox) -> None:
    """From the panes over the state to the page."""
    assert blocked.check()["outcome"] == "swapped"
    [entry] = blocked.state()["history"]
    assert list(entry["hits"]) == ["ccl-auto-11", "ccl-auto-12", "ccl-auto-13"]
    assert entry["hits"]["ccl-auto-11"] == blocked.state()["sessions"]["ccl-auto-11"]["hit"]["first_seen"]
    assert entry["exhausted_until"] == blocked.state()["accounts"]["main"]["exhausted_until"]
    target = blocked.home / "week.html"
    assert str(target) in report(blocked, "--since", "7d", "-o", "week.html").stdout
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    shown = Skeleton(target.read_bytes()).text
    assert "main → backup" in shown
    assert "You've hit your" in shown
    facts = json.loads(report(blocked, "--json").stdout)
    assert (facts["version"], facts["events"][0]["from"], len(facts["hits"])) == (1, "main", 3)


def test_a_wait_that_ended_is_in_the_history(blocked: Sandbox) -> None:
    soon = stamp(datetime.now(NOW.tzinfo) + timedelta(hours=1))
    blocked.set_state(active_account="main", accounts={"backup": {"exhausted_until": soon}})
    assert blocked.check()["outcome"] == "waiting"
    assert blocked.state()["history"] == []
    since = blocked.state()["waiting"]["since"]
    past = stamp(datetime.now(NOW.tzinfo) - timedelta(minutes=1))
    blocked.set_state(accounts={**blocked.state()["accounts"], "backup": {"exhausted_until": past}})
    assert blocked.check()["outcome"] == "swapped"
    wait, swap = blocked.state()["history"]
    assert (wait["outcome"], wait["since"], wait["account"], swap["outcome"]) == ("waiting", since, "backup", "swapped")
    assert json.loads(report(blocked, "--json").stdout)["waited_seconds"] >= 0


@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        (["--since", "soon"], 2, "is no time"),
        (["--since", "999999d"], 2, "is no time"),
        (["--since", "2999-01-01"], 2, "is not past"),
        (["-o", "/proc/nowhere/x.html"], 74, "cannot write /proc/nowhere/x.html"),
    ],
)
def test_what_can_not_be_done_is_one_line(sandbox: Sandbox, argv: list[str], code: int, words: str) -> None:
    sandbox.save_config()
    assert words in report(sandbox, *argv, code=code).stderr


@pytest.mark.parametrize("content", ["", "{", '{"version": 1, "history": [{"at": 1}, {}]}'])
def test_an_empty_a_broken_and_a_foreign_state_make_a_page_too(sandbox: Sandbox, content: str) -> None:
    sandbox.save_config()
    sandbox.state_file.parent.mkdir()
    sandbox.state_file.write_text(content)
    report(sandbox, "-o", "r.html")
    assert "no history" in Skeleton((sandbox.home / "r.html").read_bytes()).text
    assert sandbox.state_file.read_text() == content
    assert Path(sandbox.home / "r.html").exists()
