"""The spool's folders, with real files."""

import os
from datetime import timedelta
from pathlib import Path

import pytest

from failover_oneshot.model import TaskTally
from failover_oneshot.state.store import LockLostError
from failover_oneshot.tasks import spool
from failover_oneshot.tasks.spool import DONE, FAILED, QUEUE, RUNNING, SUFFIX, Spool, TaskGoneError
from failover_oneshot.tasks.task import TaskRecord
from tests.support.builders import NOW, at


@pytest.fixture
def box(tmp_path: Path) -> Spool:
    made = Spool(tmp_path / "spool")
    made.prepare()
    return made


def put(box: Spool, state: str, name: str, text: str = "text") -> Path:
    path = box.folder / state / name
    path.write_text(text)
    return path


def listing(box: Spool) -> set[str]:
    return {f"{path.parent.name}/{path.name}" for path in box.folder.glob("*/*")}


def test_a_move_takes_the_record_with_it(box: Spool) -> None:
    box.add("fix", b"text", TaskRecord(priority=2))
    assert box.move("fix", QUEUE, RUNNING, TaskRecord(priority=2, attempts=1)) == "fix"
    assert listing(box) == {"running/fix", "running/fix" + SUFFIX}
    assert box.record(RUNNING, "fix") == TaskRecord(priority=2, attempts=1)
    assert spool.counts(box.folder) == TaskTally(running=1)


def test_a_move_never_overwrites_a_file(box: Spool) -> None:
    for state in (QUEUE, DONE, RUNNING):
        put(box, state, "fix", state)
    assert box.move("fix", RUNNING, DONE, TaskRecord()) == "fix.2"
    assert box.move("fix", DONE, QUEUE, TaskRecord()) == "fix.2"
    texts = {path.read_text() for path in box.folder.glob("*/*") if not path.name.endswith(SUFFIX)}
    assert texts == {QUEUE, DONE, RUNNING}


def test_moving_a_task_that_someone_else_moved_fails(box: Spool) -> None:
    with pytest.raises(TaskGoneError):
        box.move("fix", QUEUE, RUNNING, TaskRecord())
    assert listing(box) == set()


def test_tidying_cleans_up_after_a_killed_check(box: Spool) -> None:
    """A record without its text, a text on its way back into the queue, and a temporary file."""
    box.update(RUNNING, "claimed", TaskRecord(session="s"))
    put(box, QUEUE, "claimed")
    box.update(RUNNING, "back", TaskRecord(session="s"))
    os.link(put(box, RUNNING, "back"), box.folder / QUEUE / "back.2")
    box.update(QUEUE, "young", TaskRecord())
    box.update(FAILED, "old", TaskRecord())
    os.utime(box.folder / FAILED / ("old" + SUFFIX), (0, 0))
    put(box, RUNNING, ".failover-tmp-1").chmod(0o600)
    box.tidy(NOW.now(NOW.tzinfo))
    assert listing(box) == {"queue/claimed", "queue/back.2", "queue/young" + SUFFIX}
    assert (box.folder / QUEUE / "back.2").read_text() == "text"


def test_a_file_being_written_is_recognized(box: Spool) -> None:
    put(box, QUEUE, "empty", "")
    path = put(box, QUEUE, "half")
    now = NOW.now(NOW.tzinfo)
    assert [task.name for task in box.queued(now)] == ["half"]
    assert len(box.queued(now + timedelta(minutes=2))) == 2, "no writer takes this long"
    with path.open("ab"):
        assert box.being_written("half")
    assert not box.being_written("half")


def test_an_unreadable_record_counts_as_blank(box: Spool) -> None:
    put(box, QUEUE, "fix")
    for content in ("", "{", "[]", '{"priority": "high"}', "\x00" * 9):
        put(box, QUEUE, "fix" + SUFFIX, content)
        assert box.record(QUEUE, "fix") == TaskRecord()


def test_done_tasks_are_kept_by_age_and_count(box: Spool) -> None:
    for age in range(6):
        for path in (put(box, DONE, f"t{age}"), put(box, DONE, f"t{age}{SUFFIX}", "{}")):
            os.utime(path, (at(hours=-age).timestamp(),) * 2)
    put(box, DONE, "by-hand")
    assert box.prune(NOW, 4.5 * 3600, 3) == 3
    assert box.names(DONE) == ["by-hand", "t0", "t1", "t2"]
    assert box.prune(NOW, 1.5 * 3600, 3) == 1
    assert box.names(DONE) == ["by-hand", "t0", "t1"]
    assert len(listing(box)) == 5


def test_a_long_name_is_cut(box: Spool) -> None:
    name = "ü" * 127
    put(box, QUEUE, name)
    assert box.move(name, QUEUE, RUNNING, TaskRecord()) == "ü" * 100
    assert len(listing(box)) == 2


def test_a_check_that_may_change_nothing_moves_no_task(box: Spool) -> None:
    box.add("fix", b"text", TaskRecord())
    put(box, DONE, "old")
    put(box, RUNNING, "gone" + SUFFIX)
    before = {path: path.read_bytes() for path in box.folder.glob("*/*")}

    def refuse() -> None:
        raise LockLostError("the lock is lost")

    lost = Spool(box.folder, refuse)
    for change in (
        lambda: lost.move("fix", QUEUE, RUNNING, TaskRecord()),
        lambda: lost.update(QUEUE, "fix", TaskRecord(priority=2)),
        lambda: lost.tidy(NOW),
        lambda: lost.prune(NOW, 0, 0),
    ):
        with pytest.raises(LockLostError):
            change()
    assert {path: path.read_bytes() for path in box.folder.glob("*/*")} == before
