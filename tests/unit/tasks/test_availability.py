"""Which sessions can get a task, and which queued tasks are read for them. No tmux."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from failover_oneshot.model import AgentProcess, Finding, Kind, Observation, Pane, Role, Session
from failover_oneshot.state.model import SessionMemory, State, Trouble
from failover_oneshot.tasks.availability import observe_pool, observe_queue
from failover_oneshot.tasks.plan import plan_hand_out
from failover_oneshot.tasks.spool import Spool
from failover_oneshot.tasks.task import ActionKind, AgentPlace, Availability, Queued, Slot, TaskRecord
from tests.support.builders import NOW, at, make_config

RULE = "─" * 80
BOX = f"● Done.\n\n{RULE}\n❯ \n{RULE}\n  ⏵⏵ auto mode on"
NAME = "ccl-auto-11"


def slot(
    *, finding: dict[str, Any] | None = None, status: str = "idle", state: State | None = None, **changes: Any
) -> Slot:
    """The one session of a pool: idle, except for these changes."""
    pane = Pane(**{"pane_id": "%1", "pid": 2, "command": "claude", "path": "/w", "text": BOX, **changes})
    session = Session(name=NAME, role=Role.POOL, index=11, session_id="$1", server_pid=3, panes=(pane,))
    client = AgentProcess(pid=4, session_id="c", cwd="/w", status=status)
    seen = Observation(at=NOW, server_running=True, sessions=(session,), agents={"%1": client})
    findings = [Finding(**{"name": NAME, "role": Role.POOL, "kind": Kind.OK, **(finding or {})})]
    (found,) = observe_pool(make_config(), state or State(), seen, findings, NOW).slots
    return found


def test_an_agent_at_an_empty_prompt_is_free_and_known_by_its_processes() -> None:
    found = slot()
    assert (found.session, found.availability, found.path) == (NAME, Availability.FREE, "/w")
    assert found.place == AgentPlace(server_pid=3, pane_id="%1", pane_pid=2, client_pid=4, conversation="c")


@pytest.mark.parametrize(
    ("changes", "availability"),
    [
        ({"dead": True}, Availability.DEAD),
        ({"finding": {"kind": Kind.QUOTA, "blocked": True}}, Availability.BLOCKED),
        ({"finding": {"kind": Kind.QUOTA, "blocked": True, "stale": True}}, Availability.FREE),
        ({"finding": {"kind": Kind.AUTH}}, Availability.BLOCKED),
        ({"finding": {"busy": True}}, Availability.BUSY),
        ({"status": "busy"}, Availability.BUSY),
        ({"status": "waiting"}, Availability.HELD),
        ({"text": BOX + " · esc to interrupt"}, Availability.BUSY),
        ({"text": BOX.replace("❯ ", "❯ my draft")}, Availability.HELD),
        ({"text": "$ "}, Availability.HELD),
        ({"text": None}, Availability.HELD),
        ({"mode": "copy-mode"}, Availability.HELD),
        ({"command": "bash", "pid": -1}, Availability.HELD),
    ],
)
def test_the_availability_of_a_session(changes: dict[str, Any], availability: Availability) -> None:
    assert slot(**changes).availability is availability


def test_a_session_on_hold_is_free_again_after_a_while() -> None:
    def held(ago: float) -> State:
        trouble = Trouble(at=at(seconds=-ago), reason="why")
        return State(sessions={NAME: SessionMemory(held=trouble)})

    assert slot(state=held(299)).availability is Availability.HELD
    assert slot(state=held(301)).availability is Availability.FREE
    assert slot(state=held(1), finding={"busy": True}).availability is Availability.BUSY


# -- the queue ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    made = Spool(tmp_path / "spool")
    made.prepare()
    return made


def add(spool: Spool, name: str, data: bytes, age: int, **record: Any) -> None:
    spool.add(name, data, TaskRecord(submitted_at=NOW - timedelta(seconds=age), **record))


def free(*names: str, path: str = "/w") -> list[Slot]:
    return [Slot(session=name, availability=Availability.FREE, path=path) for name in names]


def test_only_the_tasks_to_dispatch_are_read(spool: Spool) -> None:
    for age, name in enumerate(["third", "second", "first"]):
        add(spool, name, name.encode(), age)
    queue = {task.name: task.text for task in observe_queue(spool, free("a", "b"), (), NOW)}
    assert queue == {"first": "first", "second": "second", "third": ""}


def test_a_file_that_cannot_be_a_task_makes_way_for_the_next(spool: Spool) -> None:
    add(spool, "empty", b" ", 9)
    add(spool, "elsewhere", b"text", 8, dir="/v")
    add(spool, "binary", b"\0", 7)
    add(spool, "good", b"text", 6)
    add(spool, "late", b"\0", 5)
    queue = observe_queue(spool, free("a"), (), NOW)
    planned = plan_hand_out([], queue, free("a"), NOW)
    assert [(action.kind, action.task) for action in planned] == [
        (ActionKind.REFUSE, "empty"),
        (ActionKind.REFUSE, "binary"),
        (ActionKind.HAND_OUT, "good"),
    ]


def test_a_file_that_is_still_being_written_is_left_out(spool: Spool) -> None:
    add(spool, "open", b"half", 9)
    with (spool.folder / "queue" / "open").open("ab"):
        assert observe_queue(spool, free("a"), (), NOW) == ()


def test_a_task_that_a_dry_run_would_requeue_is_in_the_queue(spool: Spool) -> None:
    add(spool, "waits", b"text", 9)
    back = Queued(name="back", changed=0.0, record=TaskRecord(head=True))
    queue = observe_queue(spool, free("a"), (back,), NOW)
    assert [a.task for a in plan_hand_out([], queue, free("a"), NOW)] == ["back"]
