"""Which hits count over a series of checks, from screens and records. Only the pure core runs."""

from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from failover_oneshot.agents.claude.classify import classify
from failover_oneshot.config.model import Config
from failover_oneshot.decision.decision import Action, Decision
from failover_oneshot.decision.rules import decide
from failover_oneshot.detection.findings import detect
from failover_oneshot.model import Evidence, Finding, Kind, Limit, Observation, Pane, Reading, Role, Session
from failover_oneshot.state.model import State
from failover_oneshot.state.transitions import mark_exhausted, remember, settle
from failover_oneshot.swap.journal import begin, finished
from tests.support.builders import make_config
from tests.support.recordings import panes
from verification.variations import ANSWERED, HEALTHY_TURN, box, rewrap

RECORDED = {pane.name: pane.text for pane in panes()}
TEN = datetime(2026, 11, 23, 10, 20, 30, tzinfo=UTC)  # when the hit that resets at 12:20pm (UTC) was recorded
HIT = RECORDED["hit-5h-2h-80x24"]
OK = RECORDED["ok-80x24"]
Shown = str | Reading | None  # a screen, the reading of a record, or a pane that could not be captured


def hit(clock: str, prompt: str = "go on", window: str = "5-hour") -> str:
    return f"❯ {prompt}\n  ⎿  You've hit your {window} limit · resets {clock}\n\n{box()}"


def record(uuid: str, printed_at: datetime, resets_at: datetime | None) -> Reading:
    """The reading of Claude Code's own record of a hit."""
    return Reading(
        kind=Kind.QUOTA, evidence=Evidence.TRANSCRIPT, limit=Limit.FIVE_HOUR, rule="transcript.usage_limit_reached",
        pattern="usage_limit_reached", snippet="You've hit your 5-hour limit", resets_at=resets_at,
        identity=f"transcript:{uuid}", printed_at=printed_at,
    )  # fmt: skip


class Life:
    """A series of checks on pool sessions, with the state carried from one to the next."""

    def __init__(self, config: Config | None = None, now: datetime = TEN, zone: str = "UTC") -> None:
        self.config = config or make_config()
        self.state = State(active_account="main")
        self.now = now
        self.zone = zone
        self.found: tuple[Finding, ...] = ()

    def check(self, *shown: Shown, later: float = 30) -> Decision:
        """One check, ``later`` seconds after the previous one; ``shown`` is what ccl-auto-11 and so on show."""
        self.now += timedelta(seconds=later)
        self.state, _ = settle(self.state, self.now)
        sessions, readings = [], {}
        for number, what in enumerate(shown):
            pane = Pane(pane_id=f"%{number}", pid=1000 + number, text=what if isinstance(what, str) else None)
            sessions.append(
                Session(
                    name=f"ccl-auto-{11 + number}",
                    role=Role.POOL,
                    index=11 + number,
                    session_id=f"${number}",
                    panes=(pane,),
                )
            )
            if isinstance(what, str):
                readings[pane.pane_id] = classify(what, "", self.config.quota)
            elif what is not None:
                readings[pane.pane_id] = what
        observation = Observation(
            at=self.now, server_running=True, sessions=tuple(sessions), readings=readings, zone=self.zone
        )
        decision = decide(self.config, self.state, observation, (), self.now)
        if decision.action is Action.HOLD and decision.outcome in {"paused", "cooldown"}:
            return decision
        self.found = detect(self.config, self.state, observation)
        decision = decide(self.config, self.state, observation, self.found, self.now)
        self.state = remember(self.state, self.found, switches_at_message=True, now=self.now)
        self.state = replace(self.state, suspected_hit_at=decision.suspected_hit_at, waiting=decision.waiting)
        if decision.action in {Action.SWAP, Action.RESUME}:
            self.state, _ = finished(begin(self.state, decision, self.found, self.now), self.now, 50)
        elif decision.action is Action.WAIT and decision.exhausted_until:
            self.state = mark_exhausted(self.state, decision.exhausted_until, None, self.now)
        return decision


def drawn_again() -> list[str]:
    """The screen of a handled hit, after everything that can happen to it."""
    lines = HIT.split("\n")
    return [
        HIT,
        rewrap(HIT, 80, 120),  # attached from a larger terminal
        rewrap(HIT, 80, 44),
        "\n".join(lines[8:]),  # scrolled: the prompt is still there
        "\n" * 20 + HIT,
        ANSWERED + HIT,  # `--continue` also draws what came before
        HIT.replace("  ⏵⏵", "  ⚠ Usage limit reached · limit resets 12:20pm\n  ⏵⏵"),
        HIT.replace("❯ \n", "❯ when does it reset?\n"),  # a draft
    ]


@pytest.mark.parametrize("again", drawn_again())
def test_a_handled_hit_never_counts_again(again: str) -> None:
    """After `recreate --continue`, a nudge, scrolling, resizing, a new tmux server (pane ids start over)."""
    life = Life()
    assert life.check(HIT, HIT).action is Action.SWAP
    assert life.check(again, again).outcome == "cooldown"
    for _ in range(20):
        assert life.check(again, again, later=601).outcome == "ok"
        assert all(f.stale for f in life.found)
    assert life.state.active_account == "backup"


def test_a_blank_or_unreadable_pane_does_not_make_the_old_hit_new() -> None:
    """A restarted pane is blank at first, then the agent draws the old conversation again."""
    life = Life()
    life.check(HIT, HIT)
    life.check("", None, later=601)
    assert life.check(HIT, HIT).outcome == "ok"
    assert [f.stale for f in life.found] == [True, True]


def test_the_same_text_under_a_new_prompt_is_a_new_hit() -> None:
    life = Life()
    life.check(hit("12:20pm (UTC)"), hit("12:20pm (UTC)"))
    again = hit("12:20pm (UTC)").replace(box(), "") + hit("12:20pm (UTC)", prompt="and now?")
    assert life.check(again, again, later=601).action is Action.WAIT  # main is exhausted as well
    assert {f.account for f in life.found} == {"backup"}


def test_after_a_healthy_turn_the_same_text_is_a_new_hit() -> None:
    life = Life()
    life.check(hit("12:20pm (UTC)"), hit("12:20pm (UTC)"))
    life.check(HEALTHY_TURN + box(), HEALTHY_TURN + box(), later=601)
    assert life.state.sessions["ccl-auto-11"].hit is None
    assert life.check(hit("12:20pm (UTC)"), hit("12:20pm (UTC)")).action is Action.WAIT


def test_two_records_with_the_same_text_are_two_hits() -> None:
    """Records always decide: the uuid differs."""
    life = Life()
    reset = TEN + timedelta(hours=2)
    assert life.check(*[record("a", TEN, reset)] * 2).action is Action.SWAP
    assert life.check(*[record("a", TEN, reset)] * 2, later=601).outcome == "ok"
    late = life.now
    assert life.check(*[record("b", late, reset)] * 2).action is Action.WAIT


@pytest.mark.parametrize("first", ["screen", "record"])
def test_a_hit_stays_the_same_when_its_evidence_changes(first: str) -> None:
    """Handled as a screen, then read from the records, or the other way round."""
    screen, recorded = HIT, record("a", TEN, datetime(2026, 11, 23, 12, 20, 13, tzinfo=UTC))
    one, other = (screen, recorded) if first == "screen" else (recorded, screen)
    life = Life()
    assert life.check(one, one).action is Action.SWAP
    assert life.check(other, other, later=601).outcome == "ok"
    assert all(f.stale for f in life.found)


def test_a_late_message_of_the_old_account_does_not_exhaust_the_new() -> None:
    """Two sessions caused the swap; the third printed its hit just before it and is read only afterwards."""
    life = Life()
    life.check(HIT, HIT, OK)
    swapped_at = life.now
    late = record("late", swapped_at - timedelta(seconds=5), swapped_at + timedelta(hours=5))
    assert life.check(OK, OK, late, later=601).outcome == "ok"
    assert (life.found[2].account, life.found[2].blocked, life.found[2].counted) == ("main", True, False)


# -- resets --


def test_a_reset_is_resolved_once_and_kept() -> None:
    """`resets 8pm` first seen at 17:00 is today 20:00, also when read again at 20:05: then the hit is expired."""
    life = Life(make_config(quota={"pool_threshold": 9}), datetime(2026, 11, 23, 17, 0, tzinfo=UTC))
    life.check(hit("8pm"), hit("8pm"))
    assert [f.resets_at for f in life.found] == [datetime(2026, 11, 23, 20, 0, tzinfo=UTC)] * 2
    life.check(hit("8pm"), hit("8pm"), later=3 * 3600 + 300)
    assert [f.resets_at for f in life.found] == [datetime(2026, 11, 23, 20, 0, tzinfo=UTC)] * 2
    assert {(f.stale, f.why_not) for f in life.found} == {(True, "expired at 20:00Z")}
    life.check(hit("8pm"), hit("8pm"), later=3 * 86400)
    assert {f.why_not for f in life.found} == {"expired at Nov 23 20:00Z"}, "the time alone would read as today's"


def test_a_relative_reset_does_not_move() -> None:
    life = Life(make_config(quota={"pool_threshold": 9}))
    life.check(hit("in 2 hours"), hit("in 2 hours"))
    first = life.found[0].resets_at
    life.check(hit("in 2 hours"), hit("in 2 hours"), later=1800)
    assert life.found[0].resets_at == first


def test_without_a_zone_in_the_text_the_machines_zone_counts() -> None:
    life = Life(zone="Europe/Paris")
    life.check(hit("1pm"), hit("1pm (Europe/London)"))
    assert [f"{f.resets_at:%H:%M}" for f in life.found] == ["12:00", "13:00"]


def test_a_5_hour_reset_more_than_5_hours_ahead_has_passed() -> None:
    life = Life()
    assert life.check(hit("10am (UTC)"), hit("10am (UTC)")).outcome == "ok"
    assert all(f.stale for f in life.found)


def test_a_reset_within_patience_is_not_counted() -> None:
    life = Life()
    assert life.check(hit("10:23am (UTC)"), hit("10:23am (UTC)")).outcome == "ok"
    assert all("within quota.patience" in f.why_not for f in life.found)


# -- sessions and panes --


def test_the_worst_pane_makes_the_finding_of_its_session() -> None:
    life = Life()
    pane = [Pane(pane_id=f"%{n}", pid=n, text="") for n in (1, 2)]
    session = Session(name="ccl-auto-11", role=Role.POOL, index=11, session_id="$1", panes=tuple(pane))
    observation = Observation(at=TEN, server_running=True, sessions=(session,))
    quota = life.config.quota
    both = {"%1": classify(OK, "", quota), "%2": classify(HIT, "", quota)}
    assert detect(life.config, life.state, replace(observation, readings=both))[0].blocked
    only_ok = {"%1": classify(OK, "", quota)}
    assert not detect(life.config, life.state, replace(observation, readings=only_ok))[
        0
    ].moved_on  # the other was not read
    assert detect(life.config, life.state, replace(observation, readings={}))[0].kind is Kind.UNREADABLE


def test_an_unreadable_pane_neither_confirms_nor_clears_a_suspicion() -> None:
    life = Life()
    plain = "You've hit your limit"
    assert life.check(plain, plain).outcome == "suspected"
    assert life.check(plain, None).outcome == "ok"
    assert life.state.suspected_hit_at is not None
    assert life.check(plain, plain).action is Action.SWAP


def test_a_warning_is_remembered_with_its_session_and_its_account() -> None:
    life = Life()
    life.check(RECORDED["x-warn-80x24"], OK)
    memory = life.state.sessions["ccl-auto-11"].warning
    assert memory is not None
    assert memory.limit is Limit.FIVE_HOUR
    assert memory.resets_at == datetime(2026, 11, 23, 13, 48, tzinfo=UTC)
    assert life.state.account("main").window_resets_at == memory.resets_at
    life.check(OK, OK)
    assert life.state.sessions["ccl-auto-11"].warning is None


def test_with_two_exhausted_accounts_any_number_of_checks_makes_one_swap() -> None:
    life = Life()
    outcomes = [str(life.check(HIT, HIT).outcome)]
    fresh = hit("3:30pm (UTC)", prompt="on backup")
    outcomes += [str(life.check(fresh, fresh, later=60).outcome) for _ in range(100)]
    assert outcomes.count("swapped") == 1
    assert outcomes[-1] == "waiting"
