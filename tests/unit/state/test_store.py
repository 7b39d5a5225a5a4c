"""The state file on a real file system: durable, backed up, never deleted."""

import json
import multiprocessing
import os
import re
import stat
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from failover_oneshot.state.model import (
    State,
)
from failover_oneshot.state.store import LockLostError, LockTimeoutError, Origin, StateStore, StoreError
from tests.support.builders import FULL, NOW
from tests.support.paths import ROOT
from tests.support.polling import poll


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "state.json"


def saved(path: Path, state: State = FULL) -> StateStore:
    store = StateStore(path, 1)
    path.parent.mkdir(parents=True, exist_ok=True)
    store.save(state)
    return store


def test_a_saved_state_is_loaded_back(path: Path) -> None:
    saved(path)
    loaded = StateStore(path, 1).load(NOW, quarantine=True)
    assert (loaded.state, loaded.origin) == (FULL, Origin.FILE)


def test_the_file_is_readable_for_people(path: Path) -> None:
    saved(path)
    text = path.read_text()
    assert list(json.loads(text))[:4] == ["version", "active_account", "last_swap", "suspected_hit_at"]
    assert json.loads(text)["last_swap"] == {
        "at": "2026-11-24T10:00:00Z", "from": "backup", "to": "main", "reason": "because",
    }  # fmt: skip
    assert '\n  "active_account": "main",\n' in text
    assert "You’ve hit …" in text
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_previous_version_becomes_the_backup(path: Path) -> None:
    store = saved(path)
    before = path.read_bytes()
    store.save(replace(FULL, active_account="backup"))
    assert path.with_name("state.json.bak").read_bytes() == before
    assert json.loads(path.read_bytes())["active_account"] == "backup"


def test_unknown_keys_are_kept_in_their_places(path: Path) -> None:
    saved(path)
    raw = json.loads(path.read_bytes())
    raw["x-operator"] = {"note": [1, 2]}
    raw["accounts"]["backup"]["plan"] = "max"
    raw["sessions"]["ccl-auto-11"]["hit"]["seen_by"] = "alice"
    raw["history"][0]["ticket"] = 7
    path.write_text(json.dumps(raw))
    store = StateStore(path, 1)
    state = store.load(NOW, quarantine=True).state
    store.save(replace(state, active_account="backup", swap_in_progress=None))
    new = json.loads(path.read_bytes())
    assert new["x-operator"] == {"note": [1, 2]}
    assert new["accounts"]["backup"]["plan"] == "max"
    assert new["sessions"]["ccl-auto-11"]["hit"]["seen_by"] == "alice"
    assert new["history"][0]["ticket"] == 7
    assert (new["active_account"], new["swap_in_progress"]) == ("backup", None)


CORRUPT: list[Any] = [
    b"", b"   \n", b"{", b"\x00" * 100, b"\xff\xfe", b"[]", b'"x"', b'{"version": "1"}', b'{"version": true}',
    b"{}", b'{"version": 1, "accounts": []}', b'{"version": 1, "suspected_hit_at": "yesterday"}',
    b'{"version": 1, "suspected_hit_at": "2026-11-24T10:00:00"}', b'{"version": 1, "history": [1]}',
    b"[" * 100_000, b'{"version": 1, "x": ' + b"9" * 10_000 + b"}", b'{"version": 0}',
    b'{"version": 1, "active_account": "\xff"}',
]  # fmt: skip


@pytest.mark.parametrize("content", CORRUPT, ids=range(len(CORRUPT)))
def test_a_corrupt_state_is_moved_and_the_backup_used(path: Path, content: bytes) -> None:
    store = saved(path)
    store.save(replace(FULL, active_account="backup"))
    path.write_bytes(content)
    loaded = StateStore(path, 1).load(NOW, quarantine=True)
    assert (loaded.state, loaded.origin) == (FULL, Origin.BACKUP)
    assert "corrupt" in loaded.notes[0]
    assert loaded.notes[0].endswith(
        "moved to state.json.corrupt-20261124T100000Z; continuing with the backup state.json.bak"
    )
    assert path.with_name("state.json.corrupt-20261124T100000Z").read_bytes() == content


def test_a_check_that_ends_before_it_saves_leaves_the_backups_state(path: Path) -> None:
    """Otherwise the next check would find no file and begin afresh, without a word."""
    store = saved(path)
    store.save(replace(FULL, active_account="backup"))
    path.write_bytes(b"{")
    StateStore(path, 1).load(NOW, quarantine=True)
    loaded = StateStore(path, 1).load(NOW, quarantine=True)
    assert (loaded.state, loaded.origin, loaded.notes) == (FULL, Origin.FILE, ())


def test_two_corrupt_states_in_one_second_are_both_kept(path: Path) -> None:
    for content in (b"one", b"two"):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        assert StateStore(path, 1).load(NOW, quarantine=True).origin is Origin.RESET
    kept = sorted(p.read_bytes() for p in path.parent.glob("state.json.corrupt-*"))
    assert kept == [b"one", b"two"]


def test_a_dry_run_moves_nothing(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"{")
    assert StateStore(path, 1).load(NOW, quarantine=False).origin is Origin.RESET
    assert [p.name for p in path.parent.iterdir()] == ["state.json"]


def test_a_huge_state_is_moved_without_reading_all_of_it(path: Path) -> None:
    path.parent.mkdir()
    with path.open("wb") as file:
        file.truncate(64 * 1024 * 1024)
    loaded = StateStore(path, 1).load(NOW, quarantine=True)
    assert loaded.origin is Origin.RESET
    assert "larger than" in loaded.notes[0]


def test_a_newer_version_is_left_alone(path: Path) -> None:
    path.parent.mkdir()
    path.write_text('{"version": 2, "shape": "unknown"}')
    with pytest.raises(StoreError, match="newer version"):
        StateStore(path, 1).load(NOW, quarantine=True)
    assert path.read_text() == '{"version": 2, "shape": "unknown"}'


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_anything_but_a_file_is_refused_or_moved(path: Path, make: Callable[[Path], None]) -> None:
    path.parent.mkdir()
    make(path)
    try:
        StateStore(path, 1).load(NOW, quarantine=True)
    except StoreError:
        return
    assert list(path.parent.glob("state.json.corrupt-*"))


def test_a_symbolic_link_is_followed_not_replaced(path: Path, tmp_path: Path) -> None:
    path.parent.mkdir()
    path.symlink_to(tmp_path / "real.json")
    saved(path)
    saved(path, replace(FULL, active_account="backup"))
    assert path.is_symlink()
    assert json.loads((tmp_path / "real.json").read_bytes())["active_account"] == "backup"


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    """The parent is a file. This holds even for root, which file modes do not stop."""
    (tmp_path / "file").write_text("")
    store = StateStore(tmp_path / "file" / "state.json", 1)
    with pytest.raises(StoreError, match="is not a folder"), store.locked():
        pass
    with pytest.raises(StoreError, match="Not a directory"):
        store.save(FULL)


@pytest.mark.parametrize("mode", [0o777, 0o707, 0o1777])
def test_a_folder_that_others_can_write_is_refused(path: Path, mode: int) -> None:
    """A forged journal would be executed. The store neither reads nor creates anything there, not even the lock."""
    saved(path)
    path.parent.chmod(mode)
    before = sorted(path.parent.iterdir())
    store = StateStore(path, 1)
    fix = f"chmod go-w '{path.parent}'"
    with pytest.raises(StoreError, match=fix):
        store.load(NOW, quarantine=False)
    with pytest.raises(StoreError, match=fix), store.locked():
        pass
    assert sorted(path.parent.iterdir()) == before


def test_planted_links_are_not_followed(path: Path, tmp_path: Path) -> None:
    """As if another user had created them before the folder became private. Their targets stay unchanged."""
    victim = tmp_path / "victim"
    victim.write_text("precious")
    saved(path)
    for name in ("state.json.lock", "state.json.bak"):
        path.with_name(name).symlink_to(victim)
    store = StateStore(path, 1)
    with suppress(StoreError), store.locked():
        pass
    path.with_name("state.json.lock").unlink()
    with store.locked():
        store.load(NOW, quarantine=True)
        store.save(replace(FULL, active_account="backup"))
    assert victim.read_text() == "precious"
    assert not path.with_name("state.json.bak").is_symlink()
    assert stat.S_IMODE(victim.stat().st_mode) == 0o644


def hold(path: str, ready: Any, done: Any) -> None:
    with StateStore(Path(path), 1).locked():
        ready.set()
        done.wait(30)


def test_the_lock_excludes_others_and_ends_with_its_process(path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ready, done = context.Event(), context.Event()
    process = context.Process(target=hold, args=(str(path), ready, done))
    process.start()
    assert ready.wait(30)
    with pytest.raises(LockTimeoutError), StateStore(path, 0.1).locked():
        pass
    process.kill()
    process.join()
    with StateStore(path, 10).locked():
        pass


def removed(lock: Path) -> None:
    lock.unlink()


def replaced(lock: Path) -> None:
    lock.with_name("other").touch()
    lock.with_name("other").rename(lock)


def removed_and_created_again(lock: Path) -> None:
    """Without the holder's own descriptor some file systems would give the same inode number again."""
    lock.unlink()
    lock.touch()


def replaced_by_a_link_to_itself(lock: Path) -> None:
    lock.rename(lock.with_name("other"))
    lock.symlink_to("other")


def removed_with_its_folder(lock: Path) -> None:
    lock.parent.rename(lock.parent.with_name("elsewhere"))


HARM = [removed, replaced, removed_and_created_again, replaced_by_a_link_to_itself, removed_with_its_folder]


@pytest.mark.parametrize("harm", HARM)
def test_the_holder_of_a_lost_lock_changes_nothing(path: Path, harm: Callable[[Path], None]) -> None:
    saved(path)
    store = StateStore(path, 1)
    with store.locked():
        store.verify_lock()
        store.load(NOW, quarantine=True)
        store.save(FULL)
        harm(store.lock)
        before = contents(path.parent.parent)
        why = f"lost the lock {path}.lock: the file was removed or replaced while it was held"
        with pytest.raises(LockLostError, match=f"^{re.escape(why)}$"):
            store.verify_lock()
        with pytest.raises(LockLostError):
            store.save(replace(FULL, active_account="backup"))
    assert contents(path.parent.parent) == before


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_the_holder_of_a_lost_lock_moves_no_corrupt_state(path: Path) -> None:
    store = saved(path)
    path.write_bytes(b"{")
    with store.locked():
        store.lock.unlink()
        with pytest.raises(LockLostError):
            store.load(NOW, quarantine=True)
        assert store.load(NOW, quarantine=False).origin is Origin.RESET
    assert path.read_bytes() == b"{"


def test_a_lock_that_is_back_in_its_place_is_held_again(path: Path) -> None:
    """The same file under the same name still excludes other checks."""
    store = StateStore(path, 1)
    with store.locked():
        store.lock.rename(path.with_name("other"))
        with pytest.raises(LockLostError):
            store.verify_lock()
        path.with_name("other").rename(store.lock)
        store.verify_lock()
        with pytest.raises(LockTimeoutError), StateStore(path, 0.1).locked():
            pass


def test_a_lock_replaced_while_a_check_waits_is_not_taken(path: Path) -> None:
    """The waiting check opened the old file, and the library then locks the new one."""
    context = multiprocessing.get_context("spawn")
    ready, done = context.Event(), context.Event()
    process = context.Process(target=hold, args=(str(path), ready, done))
    process.start()
    assert ready.wait(30)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(enter, StateStore(path, 60))
        poll(lambda: opened_by_this_process(f"{path}.lock"))
        replaced(path.with_name("state.json.lock"))
        with pytest.raises(LockLostError):
            waiting.result(60)
    done.set()
    process.join()
    enter(StateStore(path, 1))


def enter(store: StateStore) -> None:
    with store.locked():
        pass


def opened_by_this_process(path: str) -> bool:
    return any(os.path.realpath(link) == path for link in Path("/proc/self/fd").iterdir())


def test_without_the_lock_nothing_is_verified(path: Path) -> None:
    """A store that only reads, and one that has released the lock."""
    store = saved(path)
    store.verify_lock()
    assert not store.lock.exists()
    with store.locked():
        pass
    store.lock.unlink()
    store.verify_lock()
    store.save(FULL)


def test_no_descriptor_of_the_lock_is_left_open(path: Path) -> None:
    store = StateStore(path, 0.1)
    with store.locked(), pytest.raises(LockTimeoutError), StateStore(path, 0.1).locked():
        pass
    assert not opened_by_this_process(f"{path}.lock")


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from failover_oneshot.state.store import StateStore
from failover_oneshot.state.model import State
left = int(sys.argv[2])
def dying(name):
    real = getattr(os, name)
    def call(*args, **kwargs):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **kwargs)
    setattr(os, name, call)
for name in ("open", "write", "fsync", "replace", "rename", "link", "unlink", "fchmod", "close"):
    dying(name)
store = StateStore(Path(sys.argv[1]), 1)
from datetime import datetime, UTC
state = store.load(datetime.now(UTC), quarantine=True).state
from msgspec.structs import replace
store.save(replace(state, active_account="new"))
print("survived")
"""


def test_a_kill_at_any_system_call_leaves_a_good_state(path: Path) -> None:
    """A real process is killed before its n-th file operation, for each n until it survives."""
    root = str(ROOT)
    for point in range(1, 100):
        saved(path)
        done = subprocess.run(
            [sys.executable, "-c", KILLED, str(path), str(point), root], capture_output=True, text=True, check=False
        )
        loaded = StateStore(path, 1).load(NOW, quarantine=True)
        assert loaded.origin is Origin.FILE
        assert loaded.state.active_account in {"main", "new"}
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        if "survived" in done.stdout:
            assert loaded.state.active_account == "new"
            assert point > 5
            return
        assert done.returncode == -9, done.stderr
    pytest.fail("it never survived")


KEYS = st.sampled_from(["version", "accounts", "sessions", "history", "last_swap", "at", "hit", "x"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
STATES = st.dictionaries(KEYS, VALUES, max_size=6).map(lambda value: json.dumps({"version": 1, **value}).encode())


@given(st.binary(max_size=200) | STATES)
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_any_bytes_are_loaded_or_moved_or_of_a_newer_version(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "state.json"
    path.write_bytes(content)
    store = StateStore(path, 1)
    try:
        loaded = store.load(NOW, quarantine=True)
    except StoreError:  # a newer version
        assert path.read_bytes() == content
        return
    store.save(loaded.state)
    assert StateStore(path, 1).load(NOW, quarantine=True).origin is Origin.FILE
