"""Detection on the recordings, on variations of them, and on arbitrary texts (docs/detection.md)."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from failover_oneshot.agents.claude.classify import classify
from failover_oneshot.agents.claude.wordings import TABLE
from failover_oneshot.agents.plain import SNIPPET
from failover_oneshot.config.model import Quota
from failover_oneshot.detection import resets
from failover_oneshot.detection.identity import same_hit
from failover_oneshot.model import Evidence, Kind, Limit, Reading
from tests.support.recordings import Recording, panes
from verification.detection_report import ARGUED, Judged, as_recorded
from verification.variations import ANSWERED, HEALTHY_TURN, box, of_pane, rewrap

RECORDED = panes()
HITS = [pane for pane in RECORDED if pane.truth == "quota" and pane.reset_text]


def read(text: str, title: str = "", quota: Quota | None = None) -> Reading:
    return classify(text, title, quota or Quota())


def turn(*blocks: str, prompt: str = "go on") -> str:
    """A screen of Claude Code whose current turn has these blocks."""
    return "\n\n".join([f"❯ {prompt}", *blocks, box()])


@pytest.mark.parametrize("judged", list(as_recorded()), ids=lambda j: j.name)
def test_every_recording_is_read_correctly(judged: Judged) -> None:
    assert judged.good, judged


@pytest.mark.parametrize("text", sorted(ARGUED))
def test_daemon_patterns_count_in_a_plain_pane_only(text: str) -> None:
    """The daemon's substrings are hits in a plain pane [daemon]; the same words in an agent's sentence are not."""
    assert read(text).kind is Kind.QUOTA
    assert read(turn(f"● {text}")).kind is Kind.OK


# -- the operator's own patterns --


@pytest.mark.parametrize("pattern", ["tokens all gone", "TOKENS all gone", "/tokens \\w+ gone/"])
@pytest.mark.parametrize("frame", [turn("● Bash(x)\n  ⎿  y\n  ⎿  Tokens all gone"), "$ run\nError: tokens all gone"])
def test_an_operators_pattern_matches_one_line(pattern: str, frame: str) -> None:
    assert read(frame).kind is Kind.OK
    found = read(frame, quota=Quota(extra_patterns=(pattern,)))
    assert (found.kind, found.pattern) == (Kind.QUOTA, pattern)


@pytest.mark.parametrize(
    "frame", [turn("  ⎿  You've hit your limit · gateway timeout"), "You've hit your limit\ngateway timeout"]
)
def test_an_operators_server_error_vetoes(frame: str) -> None:
    assert read(frame).kind is Kind.QUOTA
    assert read(frame, quota=Quota(extra_server_error_patterns=("gateway timeout",))).kind is Kind.SERVER_ERROR


# -- the tail and the veto --

HIT = "  ⎿  You've hit your limit · resets 8pm"
ERROR = "● API Error: 529 Overloaded"


@pytest.mark.parametrize(
    ("blocks", "kind"),
    [
        ((HIT,), Kind.QUOTA),
        ((f"{ERROR}\n{HIT}",), Kind.QUOTA),  # a server error before a genuine hit does not undo it
        ((HIT, ERROR), Kind.SERVER_ERROR),  # a newer one does
        (("  ⎿  You've hit your limit · api_error",), Kind.SERVER_ERROR),
        ((HIT, "● I will go on with the tests."), Kind.OK),
        ((HIT, "● Bash(make)"), Kind.OK),
        ((HIT, "✻ Brewed for 12s · done 10:34 AM"), Kind.OK),
        ((HIT, "✻ Brewed for 12m 3s"), Kind.QUOTA),  # older versions also close a turn this way after a hit
        ((HIT, "● Usage limit reset · continuing automatically"), Kind.OK),
        ((HIT, "● 5-hour limit reached, now using extra usage"), Kind.WARNING),
        ((HIT, "  ⎿  Interrupted · What should Claude do instead?"), Kind.QUOTA),
        ((HIT, "❯ /rate-limit-options"), Kind.QUOTA),
        ((HIT, "❯ what now?", "● We wait."), Kind.OK),
    ],
)
def test_the_newest_decisive_block_of_the_turn_decides(blocks: tuple[str, ...], kind: Kind) -> None:
    assert read(turn(*blocks)).kind is kind


@pytest.mark.parametrize(("tail_lines", "kind"), [(1, Kind.OK), (2, Kind.OK), (3, Kind.QUOTA)])
def test_the_tail_is_counted_in_blocks(tail_lines: int, kind: Kind) -> None:
    screen = turn(HIT, "✻ Cooked for 2s", "  ⎿  one hook ran", "  ⎿  another hook ran")
    assert read(screen, quota=Quota(tail_lines=tail_lines)).kind is kind


@pytest.mark.parametrize("shell", ["! tail log", "❯ ! tail log"])
def test_the_output_of_a_shell_command_is_never_a_hit(shell: str) -> None:
    assert read(f"{ANSWERED}{shell}\n{HIT}\n\n{box()}").kind is Kind.OK


@pytest.mark.parametrize("title", ["◐ Claude Code", "◒ x", "⠋ building"])
def test_a_busy_agent_is_not_blocked(title: str) -> None:
    found = read(turn(HIT), title)
    assert (found.kind, found.busy) == (Kind.OK, True)


# -- resets --

MACHINES = ("UTC", "Europe/Paris", "America/New_York", "Asia/Kolkata", "Pacific/Auckland")


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("pane", HITS, ids=lambda pane: pane.name)
def test_the_reset_of_a_recording_is_the_instant_in_its_index(pane: Recording, machine: str) -> None:
    """All recordings are in UTC and reset within a week, so the index gives the instant without our grammar."""
    assert pane.seen_at is not None
    wanted = instant_of(pane)
    reading = read(pane.text, pane.title)
    zone = machine if "UTC" in pane.text else "UTC"  # the narrowest recordings show no zone
    found = resets.resolve(reading.reset_text or "", pane.seen_at, zone, reading.limit)
    assert found is not None
    assert found.at == wanted


def instant_of(pane: Recording) -> datetime:
    assert pane.seen_at is not None
    assert pane.reset_text is not None
    text = pane.reset_text.removesuffix(" (UTC)").upper()
    if "," not in text:
        clock = datetime.strptime(text, "%I:%M%p").replace(tzinfo=UTC)
        at = pane.seen_at.replace(hour=clock.hour, minute=clock.minute, second=0)
        return at if at > pane.seen_at - timedelta(hours=1) else at + timedelta(days=1)
    return datetime.strptime(f"{pane.seen_at.year} {text}", "%Y %b %d, %I:%M%p").replace(tzinfo=UTC)


# The instants at which Paris and New York put their clocks forward, then back.
CHANGES = {
    "Europe/Paris": ("2027-03-28T01:00Z", "2027-10-31T01:00Z"),
    "America/New_York": ("2027-03-14T07:00Z", "2027-11-07T06:00Z"),
}


def across_changes() -> Iterator[tuple[str, Recording, datetime]]:
    for zone, changes in CHANGES.items():
        for change in changes:
            for pane in HITS:
                if "(UTC)" in pane.text:
                    yield zone, pane, datetime.fromisoformat(change)


@pytest.mark.parametrize("named", [True, False], ids=["zone in the text", "zone of the machine"])
@pytest.mark.parametrize(("zone", "pane", "change"), list(across_changes()))
def test_a_reset_across_a_clock_change_is_the_same_instant(
    zone: str, pane: Recording, change: datetime, named: bool
) -> None:
    """The same pane, as if the clock had changed between the hit and its reset."""
    assert pane.seen_at is not None
    ahead = instant_of(pane) - pane.seen_at
    reset = (change + ahead / 2).replace(second=0, microsecond=0)
    local = reset.astimezone(ZoneInfo(zone))
    if local.replace(fold=1 - local.fold).astimezone(UTC) != reset and local.fold == 0:
        reset, local = reset + timedelta(hours=1), local.replace(fold=1)  # of an ambiguous hour the later one is meant
    form = "%b %-d, %-I:%M%p" if "," in (pane.reset_text or "") else "%-I:%M%p"
    printed = local.strftime(form).replace("AM", "am").replace("PM", "pm")
    text = pane.text.replace(pane.reset_text or "", f"{printed} ({zone})" if named else printed)
    reading = read(text, pane.title)
    found = resets.resolve(reading.reset_text or "", change - ahead / 2, "UTC" if named else zone, reading.limit)
    assert found is not None
    assert found.at == reset.astimezone(UTC)


# -- the same hit seen again --


@pytest.mark.parametrize("pane", HITS, ids=lambda pane: pane.name)
def test_a_hit_is_recognized_again_however_it_is_drawn(pane: Recording) -> None:
    first = read(pane.text, pane.title).identity
    for variation in of_pane(pane):
        again = read(variation.text, variation.title)
        if again.kind is Kind.QUOTA:
            assert same_hit(first, again.identity), variation.label
    scrolled = "\n".join(pane.text.split("\n")[6:])
    assert same_hit(first, read(scrolled, pane.title).identity)
    resized = rewrap(pane.text, pane.cols, 50)
    assert same_hit(first, read(f"{ANSWERED}{resized}", pane.title).identity)


def test_the_same_words_under_another_prompt_are_another_hit() -> None:
    first = read(turn(HIT, prompt="refactor the parser"))
    second = read(f"❯ refactor the parser\n{HIT}\n\n{HEALTHY_TURN}\n{turn(HIT, prompt='now the tests')}")
    assert not same_hit(first.identity, second.identity)


def test_another_reset_is_another_hit() -> None:
    later = HIT.replace("8pm", "9pm")
    assert not same_hit(read(turn(HIT)).identity, read(turn(later)).identity)


# -- arbitrary texts --


def sound(reading: Reading) -> None:
    """Verify what is true of every reading."""
    assert reading.kind in Kind
    assert reading.kind is not Kind.UNREADABLE
    assert reading.evidence in {Evidence.SCREEN, Evidence.TEXT}
    assert reading.limit is None or reading.limit in Limit
    snippet = reading.snippet
    assert snippet is None or (len(snippet) <= SNIPPET and snippet.isprintable())
    assert bool(reading.identity) == (reading.kind in {Kind.QUOTA, Kind.BILLING, Kind.AUTH})


GLYPHS = st.text(
    "❯>●⏺⎿└├✻✽·*▎⚠│╭╮╰╯─▔!# \n\t\x1b\x00\u202e\ud800" + "limit resets 8pm'’API Error: 429 you've hit your", max_size=400
)


@given(st.one_of(st.text(max_size=400), GLYPHS), st.text(max_size=10))
def test_any_text_has_a_reading(text: str, title: str) -> None:
    sound(read(text, title))


@settings(max_examples=200)
@given(st.data())
def test_a_damaged_recording_has_a_reading(data: st.DataObject) -> None:
    pane = data.draw(st.sampled_from(RECORDED))
    lines = pane.text.split("\n")
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(lines) - 1))
        match data.draw(st.sampled_from(["cut", "drop", "double", "join", "noise"])):
            case "cut":
                lines[at] = lines[at][: data.draw(st.integers(0, len(lines[at])))]
            case "drop":
                del lines[at]
            case "double":
                lines.insert(at, lines[at])
            case "join":
                lines[at] += lines[at - 1]
            case _:
                lines[at] += data.draw(st.text(max_size=20))
        lines = lines or [""]
    sound(read("\n".join(lines), pane.title))


@settings(max_examples=50)
@given(st.sampled_from([row.example for row in TABLE]), st.integers(1, 60), st.sampled_from(["", "❯ x\n  ⎿  ", "● "]))
def test_a_repeated_wording_has_a_reading_in_time(words: str, times: int, glyph: str) -> None:
    """500 lines of 200 columns that start like the patterns: no pattern backtracks."""
    sound(read("\n".join([glyph + (f"{words} " * times)[:200]] * 500)))
