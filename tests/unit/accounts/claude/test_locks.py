"""Claude Code's lock folders: order, staleness, heartbeat, release. Real folders and real processes."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count, pairwise
from pathlib import Path

import pytest

from failover_oneshot.accounts.claude import locks
from failover_oneshot.accounts.claude.locks import client_locks
from failover_oneshot.accounts.registry import MethodError
from failover_oneshot.lib import atomicfile
from tests.support.account_methods import dying_at, forked
from tests.support.polling import poll


def test_locks_are_taken_in_order_and_released(tmp_path: Path) -> None:
    wanted = [(tmp_path / name, 60.0) for name in ("first", "second", "third")]
    with client_locks(wanted, 1):
        made = [path.stat() for path, _ in wanted]
        assert all(info.st_ctime_ns <= later.st_ctime_ns for info, later in pairwise(made))
        assert all(path.is_dir() and not list(path.iterdir()) for path, _ in wanted)  # Claude Code can rmdir them
    assert list(tmp_path.iterdir()) == []


def test_locks_are_released_after_an_error_too(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), client_locks([(tmp_path / "lock", 60)], 1):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_a_fresh_lock_of_claude_code_is_respected_and_none_stays_held(tmp_path: Path) -> None:
    (tmp_path / "second").mkdir()
    wanted = [(tmp_path / "first", 60.0), (tmp_path / "second", 60.0)]
    with pytest.raises(MethodError, match="holds the lock"), client_locks(wanted, 0.1):
        pass
    assert [p.name for p in tmp_path.iterdir()] == ["second"]


@pytest.mark.parametrize(("age", "broken"), [(500, False), (1500, True), (-500, False), (-86400, True)])
def test_a_lock_is_broken_only_when_it_is_stale(
    age: float, broken: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "UNTOUCHED", 0.01)
    lock = tmp_path / "lock"
    lock.mkdir()
    os.utime(lock, (time.time() - age,) * 2)
    try:
        with client_locks([(lock, 1000)], 20 if broken else 0.1):
            assert broken
    except MethodError:
        assert not broken
    assert lock.exists() is not broken


@pytest.mark.parametrize(
    ("age", "untouched", "stale"),
    [
        *((59, 0, False), (61, 0, True), (1e9, 0, True)),
        *((-59, 3600, False), (-61, 3600, True), (-1e9, 3600, True)),
        *((-61, 0, False), (-61, 5.9, False), (-1e9, 5, False)),  # the clock went back under a living holder
    ],
)
def test_a_time_in_the_future_is_stale_when_nobody_touches_it(age: float, untouched: float, stale: bool) -> None:
    assert locks._is_stale(age, 60, untouched) is stale


def a_folder_with_content(path: Path) -> None:
    (path / "inner" / "deep").mkdir(parents=True)
    (path / "inner" / "file").write_bytes(b"x")
    (path / "link").symlink_to("/nowhere")
    (path / "closed").mkdir(mode=0)


FOREIGN: list[Callable[[Path], object]] = [
    a_folder_with_content,
    lambda path: path.write_bytes(b"12345"),
    lambda path: path.mkdir(mode=0),
    lambda path: path.symlink_to("/nowhere"),
]


@pytest.mark.parametrize("moment", [1.0, 4e9])
@pytest.mark.parametrize("make", FOREIGN)
def test_a_stale_lock_of_any_kind_is_broken(
    make: Callable[[Path], object], moment: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "UNTOUCHED", 0.01)
    lock = tmp_path / "lock"
    make(lock)
    os.utime(lock, (moment, moment), follow_symlinks=False)
    with client_locks([(lock, 10)], 20):
        assert not list(lock.iterdir())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("make", FOREIGN)
def test_a_fresh_lock_of_any_kind_is_respected(make: Callable[[Path], object], tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    make(lock)
    before = lock.lstat()
    with pytest.raises(MethodError, match="holds the lock"), client_locks([(lock, 10)], 0.1):
        pass
    assert lock.lstat() == before
    assert list(tmp_path.iterdir()) == [lock]


def test_a_lock_with_a_time_in_the_future_that_is_touched_is_not_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "UNTOUCHED", 2.0)
    lock, done = tmp_path / "lock", tmp_path / "done"
    lock.mkdir()
    moments = iter(range(1_000_000))

    def touch_once() -> bool:
        os.utime(lock, (time.time() + 86400 + next(moments),) * 2)
        return done.exists()

    touch_once()
    before = lock.stat().st_ino
    with child(lambda: poll(touch_once)):
        with pytest.raises(MethodError, match="holds the lock"), client_locks([(lock, 10)], 3):
            pass
        done.touch()
    assert lock.stat().st_ino == before


def renewed(lock: Path) -> None:
    """Release the lock and take it again, as two clients do."""
    lock.rmdir()
    (lock.parent / "other").mkdir()  # so that the number of the old folder is not used again
    lock.mkdir()
    (lock.parent / "other").rmdir()


@pytest.mark.parametrize("change", [os.utime, lambda lock: (lock / "file").touch(), renewed])
def test_a_lock_that_changes_while_it_is_broken_is_put_back(change: Callable[[Path], object], tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    lock.mkdir()
    os.utime(lock, (1, 1))
    judged = locks.Look.of(lock.lstat())
    change(lock)
    before = lock.lstat()
    locks._break(lock, judged)
    after = lock.lstat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert list(tmp_path.iterdir()) == [lock]


def test_of_several_breakers_one_holds_the_lock_at_a_time(tmp_path: Path) -> None:
    lock, alone = tmp_path / "lock", tmp_path / "alone"
    a_folder_with_content(lock)
    os.utime(lock, (1, 1))

    def breaks() -> None:
        for _ in range(20):
            with client_locks([(lock, 60)], 30):
                alone.mkdir()  # an error when another process is in here too
                alone.rmdir()

    with child(breaks), child(breaks), child(breaks):
        breaks()
    assert list(tmp_path.iterdir()) == []


def test_a_breaker_killed_before_any_of_its_changes_blocks_nobody(tmp_path: Path) -> None:
    def hold(lock: Path) -> None:
        with client_locks([(lock, 10)], 20):
            pass

    for number in count(1):
        lock = tmp_path / str(number) / "lock"
        a_folder_with_content(lock)
        os.utime(lock, (1, 1))
        ended = forked(partial(hold, lock), dying_at(number))
        hold(lock)
        assert all(path.name.startswith(atomicfile.ASIDE) for path in lock.parent.iterdir())
        atomicfile.clean_leftovers(lock.parent, -1)
        assert list(lock.parent.iterdir()) == []
        if ended == 0:
            break
        assert ended == -signal.SIGKILL
    assert number > 10  # the rename, a removal for each of the six, and more


def test_a_file_that_appears_in_our_lock_does_not_keep_it(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    with client_locks([(lock, 60)], 1):
        (lock / "file").touch()
    assert list(tmp_path.iterdir()) == []


def test_a_lock_in_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(MethodError, match="No such file"), client_locks([(tmp_path / "none" / "lock", 10)], 0.1):
        pass


def test_a_lock_is_waited_for_until_claude_code_releases_it(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    lock.mkdir()

    def claude_code() -> None:
        poll((tmp_path / "go").exists)
        lock.rmdir()

    with child(claude_code):
        with pytest.raises(MethodError), client_locks([(lock, 60)], 0.05):
            pass
        (tmp_path / "go").touch()
        with client_locks([(lock, 60)], 10):
            assert lock.exists()


def test_locks_are_touched_while_held_and_while_waiting_for_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "TOUCH_EVERY", 0.01)
    first, second = tmp_path / "first", tmp_path / "second"

    def touched() -> bool:
        os.utime(first, (1, 1))
        return poll(lambda: first.stat().st_mtime > 1)

    with client_locks([(first, 60)], 1):
        assert touched()
    second.mkdir()

    def claude_code() -> None:
        poll(first.exists)
        touched()
        second.rmdir()

    with child(claude_code), client_locks([(first, 60), (second, 60)], 10):
        pass


def test_the_lock_of_a_killed_run_is_taken_over_at_once(tmp_path: Path) -> None:
    wanted = [(tmp_path / "first", 60.0), (tmp_path / "second", 60.0)]

    def dies() -> None:
        with client_locks(wanted, 1):
            os.kill(os.getpid(), signal.SIGKILL)

    with child(dies):
        pass
    assert all(path.exists() for path, _ in wanted)
    with client_locks(wanted, 30):
        pass
    assert list(tmp_path.iterdir()) == []


def test_the_lock_of_a_living_run_is_not_taken_over(tmp_path: Path) -> None:
    lock, held, done = tmp_path / "lock", tmp_path / "held", tmp_path / "done"

    def holds() -> None:
        with client_locks([(lock, 60)], 1):
            held.touch()  # the lock folder exists before it is held
            poll(done.exists)

    with child(holds):
        poll(held.exists)
        with pytest.raises(MethodError), client_locks([(lock, 60)], 0.1):
            pass
        done.touch()


def test_a_broken_lock_is_noticed_and_left_to_its_new_holder(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    with client_locks([(lock, 60)], 1) as held:
        held.check()
        lock.rmdir()
        lock.mkdir()
        with pytest.raises(MethodError, match="lost the lock"):
            held.check()
    assert lock.exists()


@contextmanager
def child(work: object) -> Iterator[None]:
    """Run the work in a second process during the block, and wait for it."""
    assert callable(work)
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    try:
        yield
    finally:
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert status in {0, -signal.SIGKILL}
