"""The verdicts on tasks as a table, the order of the queue, the text as it is pasted. No tmux."""

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from failover_oneshot.agents.base import PromptState
from failover_oneshot.model import PoolTally
from failover_oneshot.tasks import task as tasks
from failover_oneshot.tasks.task import Action, Place, Queued, Record, Sighting, Slot, Stand, Step, Verdict, judge
from failover_oneshot.tasks.text import decode, printable
from tests.support.builders import NOW, at

PLACE = Place(server_pid=1, pane_id="%1", pane_pid=2, client_pid=3, conversation="c", transcript="/t", offset=9)
HOUR = 3600.0


def record(step: Step = Step.SENT, **changes: Any) -> Record:
    fields = {"attempts": 1, "session": "s", "handed_out_at": at(minutes=-5), "sent_at": at(minutes=-5), "place": PLACE}
    return Record(**{**fields, "step": step, **changes})


def seen(stand: Stand = Stand.FREE, **changes: Any) -> Sighting:
    return Sighting(**{"alive": True, "stand": stand, **changes})


ALIVE = [
    (Step.SENT, seen(Stand.BUSY), Action.KEEP),
    (Step.SENT, seen(Stand.FREE), Action.FINISH),
    (Step.SENT, seen(Stand.HELD), Action.KEEP),
    (Step.SENT, seen(Stand.HELD, word=PromptState.ENDED), Action.FINISH),
    (Step.SENT, seen(Stand.BUSY, word=PromptState.ENDED), Action.KEEP),
    (Step.SENT, seen(Stand.BLOCKED, hit=True), Action.KEEP),
    (Step.SENT, seen(Stand.FREE, hit=True), Action.KEEP),  # an old limit on the screen: not done
    (Step.SENT, seen(Stand.FREE, word=PromptState.LIMIT), Action.KEEP),
    (Step.SENT, seen(Stand.FREE, word=PromptState.ERROR), Action.FAIL),
    (Step.SENT, seen(Stand.BUSY, word=PromptState.ERROR), Action.KEEP),  # it retries
    (Step.SENT, seen(Stand.FREE, word=PromptState.OPEN), Action.FINISH),  # interrupted: the session is free again
    (Step.PASTING, seen(Stand.HELD, drafted=True), Action.ENTER),
    (Step.PASTING, seen(Stand.HELD), Action.REQUEUE),  # somebody else's draft
    (Step.PASTING, seen(Stand.FREE), Action.REQUEUE),
    (Step.PASTING, seen(Stand.BUSY), Action.REQUEUE),  # with something else
    (Step.PASTING, seen(Stand.FREE, shown=True), Action.REQUEUE),  # an older prompt of the same words
    (Step.PASTING, seen(Stand.BUSY, word=PromptState.OPEN), Action.SENT),  # the operator pressed Enter
    (Step.PASTING, seen(Stand.FREE, word=PromptState.ENDED), Action.FINISH),
    (Step.ENTERING, seen(Stand.HELD, drafted=True), Action.ENTER),
    (Step.ENTERING, seen(Stand.BUSY), Action.SENT),
    (Step.ENTERING, seen(Stand.FREE, shown=True), Action.SENT),
    (Step.ENTERING, seen(Stand.BLOCKED, hit=True), Action.SENT),
    (Step.ENTERING, seen(Stand.FREE, word=PromptState.LIMIT), Action.SENT),
    (Step.ENTERING, seen(Stand.HELD), Action.KEEP),
    (Step.ENTERING, seen(Stand.FREE), Action.FAIL),  # nobody knows: never twice, never lost
    (Step.ENTERING, seen(Stand.FREE, word=PromptState.ABSENT), Action.FAIL),
]
GONE = [
    (Step.PASTING, {}, Action.REQUEUE),
    (Step.ENTERING, {}, Action.FAIL),
    (Step.SENT, {}, Action.FAIL),
    (Step.SENT, {"swapped": True}, Action.REQUEUE),
    (Step.SENT, {"word": PromptState.ENDED}, Action.FINISH),
    (Step.SENT, {"word": PromptState.ENDED, "swapped": True}, Action.FINISH),
    (Step.SENT, {"word": PromptState.OPEN}, Action.REQUEUE),
    (Step.SENT, {"word": PromptState.LIMIT}, Action.REQUEUE),
    (Step.SENT, {"word": PromptState.ABSENT}, Action.REQUEUE),
    (Step.SENT, {"word": PromptState.DOUBT}, Action.FAIL),
    (Step.SENT, {"word": PromptState.OPEN, "successor": "c"}, Action.REBIND),
    (Step.SENT, {"word": PromptState.OPEN, "successor": "other"}, Action.REQUEUE),
    (Step.SENT, {"word": PromptState.OPEN, "startable": True}, Action.LOST),
    (Step.PASTING, {"word": PromptState.OPEN, "startable": True}, Action.REQUEUE),
]


@pytest.mark.parametrize(("step", "sighting", "action"), ALIVE)
def test_a_task_whose_agent_is_there(step: Step, sighting: Sighting, action: Action) -> None:
    assert judge(record(step), sighting, NOW, HOUR).action is action


@pytest.mark.parametrize(("step", "facts", "action"), GONE)
def test_a_task_whose_agent_is_gone(step: Step, facts: dict[str, Any], action: Action) -> None:
    verdict = judge(record(step), Sighting(alive=False, stand=Stand.DEAD, **facts), NOW, HOUR)
    assert verdict.action is action
    assert verdict.why or action in {Action.FINISH, Action.LOST}


def test_a_task_that_was_only_just_sent_is_not_taken_for_done() -> None:
    just = record(sent_at=at(seconds=-0.5))
    assert judge(just, seen(Stand.FREE), NOW, HOUR).action is Action.KEEP
    assert judge(just, seen(Stand.FREE, answered=True), NOW, HOUR).action is Action.FINISH


def test_a_task_that_takes_too_long_has_failed_however_its_session_stands() -> None:
    for stand in Stand:
        assert judge(record(), seen(stand), NOW, 299.0).action is Action.FAIL
    assert judge(record(), seen(Stand.FREE, word=PromptState.ENDED), NOW, 299.0).action is Action.FINISH


def test_the_successor_is_waited_for_a_minute() -> None:
    gone = Sighting(alive=False, stand=Stand.FREE, word=PromptState.OPEN, startable=True)
    assert judge(record(lost_at=at(seconds=-59)), gone, NOW, HOUR).action is Action.KEEP
    assert judge(record(lost_at=at(seconds=-61)), gone, NOW, HOUR).action is Action.REQUEUE
    assert judge(record(lost_at=at(seconds=5)), gone, NOW, HOUR).action is Action.REQUEUE, "the clock went back"


SIGHTINGS = st.builds(
    Sighting,
    alive=st.booleans(),
    stand=st.sampled_from(Stand),
    word=st.sampled_from(PromptState),
    hit=st.booleans(),
    shown=st.booleans(),
    answered=st.booleans(),
    drafted=st.booleans(),
    successor=st.sampled_from(["", "c", "other"]),
    startable=st.booleans(),
    swapped=st.booleans(),
)


@given(SIGHTINGS, st.sampled_from(Step))
@example(Sighting(alive=True, stand=Stand.BUSY, word=PromptState.ENDED), Step.PASTING)
def test_never_a_second_agent_while_the_first_may_do_it(sighting: Sighting, step: Step) -> None:
    verdict = judge(record(step), sighting, NOW, HOUR)
    if verdict.action is Action.REQUEUE:
        taken = sighting.word in {
            PromptState.OPEN,
            PromptState.DOUBT,
            PromptState.ENDED,
            PromptState.LIMIT,
            PromptState.ERROR,
        }
        assert not sighting.alive or (step is Step.PASTING and not taken and not sighting.drafted)
        assert sighting.word is not PromptState.ENDED
        assert sighting.alive or step is Step.PASTING or sighting.successor != "c" or sighting.word is PromptState.NONE
    if verdict.action is Action.FINISH:
        assert sighting.word is PromptState.ENDED or (sighting.alive and step is Step.SENT and not sighting.hit)
    if verdict.action is Action.ENTER:
        assert sighting.alive
        assert sighting.drafted


def test_a_task_that_was_tried_often_enough_has_failed() -> None:
    again = Verdict(Action.REQUEUE, "gone")
    assert tasks.bounded(record(attempts=2), again, 3) == again
    assert tasks.bounded(record(attempts=3), again, 3).action is Action.FAIL
    assert tasks.bounded(record(attempts=3), Verdict(Action.KEEP), 3).action is Action.KEEP


def queued(name: str, changed: float = 0.0, **fields: Any) -> Queued:
    return Queued(name=name, changed=changed, record=Record(**fields))


def slot(session: str, stand: Stand = Stand.FREE, path: str = "/w") -> Slot:
    return Slot(session=session, stand=stand, path=path)


def test_the_order_of_the_queue() -> None:
    queue = [
        queued("young", 9.0), queued("old", 1.0), queued("urgent", 9.0, priority=1),
        queued("back", 9.0, head=True), queued("added", 0.0, submitted_at=at(days=-20000)), queued("also-old", 1.0),
    ]  # fmt: skip
    free = [slot(str(n)) for n in range(9)]
    order = ["back", "urgent", "also-old", "old", "young"]
    assert [t.name for t, _ in tasks.assign(queue, free) if t.name != "added"] == order
    assert [s.session for _, s in tasks.assign(queue, free)] == list("012345")


def test_each_task_goes_where_it_may() -> None:
    slots = [slot("busy", Stand.BUSY), slot("a", path="/a"), slot("b", path="/b")]
    queue = [queued("1", 1.0, dir="/b"), queued("2", 2.0, dir="/c"), queued("3", 3.0), queued("4", 4.0)]
    assert [(t.name, s.session) for t, s in tasks.assign(queue, slots)] == [("1", "b"), ("3", "a")]
    assert [t.name for t, _ in tasks.assign(queue, slots, lambda task: task.name != "1")] == ["3", "4"]


def test_the_tally_counts_a_session_with_a_task_as_busy() -> None:
    slots = [slot("a"), slot("b"), slot("c", Stand.DEAD), slot("d", Stand.HELD), slot("e", Stand.BLOCKED)]
    assert tasks.tally(slots, {"b", "e"}) == PoolTally(free=1, busy=1, blocked=1, dead=1, held=1)


def test_a_restart_by_a_swap_is_found_in_the_history() -> None:
    def entry(minutes: float, outcome: str = "swapped", done: str = "recreate done") -> dict[str, Any]:
        return {"at": at(minutes=minutes).isoformat(), "outcome": outcome, "sessions": {"s": done}}

    assert tasks.was_restarted([entry(-1)], record())
    assert tasks.was_restarted([entry(-9), entry(-1, done="respawn done")], record())
    for history in ([], [entry(-9)], [entry(-1, "failed")], [entry(-1, done="nudge done")], [{"outcome": "swapped"}]):
        assert not tasks.was_restarted(history, record())


# -- the text ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"plain", "plain"),
        (b"\xef\xbb\xbfwith a mark", "with a mark"),
        (b"a\r\nb\rc\n", "a\nb\nc\n"),
        (b"\ttab\n\n", "\ttab\n\n"),
        (b"\x1b[201~\x03\x04x\x7f\xc2\x9by", "[201~xy"),
    ],
)
def test_a_text_as_it_is_pasted(data: bytes, text: str) -> None:
    assert decode(data) == text


@given(st.binary(max_size=200))
def test_no_key_is_pressed_by_a_text(data: bytes) -> None:
    try:
        text = decode(data)
    except ValueError:
        return
    assert all(c.isprintable() or c in "\t\n" or ord(c) >= 0xA0 for c in text)
    assert decode(text.encode()) == text


def test_a_name_as_it_may_be_printed() -> None:
    assert printable("fix ü.md") == "fix ü.md"
    assert printable("a\x1b[31m\nb\udcff") == "a\\x1b[31m\\nb\\xff"
