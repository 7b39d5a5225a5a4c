"""Replace several files as one: all or none, and a later run knows which were replaced."""

import os
from pathlib import Path

import pytest

from failover_oneshot.accounts import staged
from failover_oneshot.accounts.registry import MethodError
from failover_oneshot.accounts.staged import ChangedError, FileChange
from failover_oneshot.config.model import Account


@pytest.fixture
def changes(tmp_path: Path) -> list[FileChange]:
    (tmp_path / "a").write_bytes(b"a1")
    return [
        FileChange(tmp_path / "a", b"a1", b"a2"),
        FileChange(tmp_path / "b", None, b"b2"),
        FileChange(tmp_path / "c", None, b"c2"),
    ]


def contents(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir() if not p.name.startswith(".failover-tmp-")}


def test_a_commit_replaces_all_files(changes: list[FileChange], tmp_path: Path) -> None:
    note = staged.new_note()
    staged.stage(changes, note)
    assert [staged.is_replaced(c.path, n, note) for n, c in enumerate(changes)] == [False] * 3
    staged.commit(changes, note, lambda _: None)
    assert [staged.is_replaced(c.path, n, note) for n, c in enumerate(changes)] == [True] * 3
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {"a": b"a2", "b": b"b2", "c": b"c2"}


@pytest.mark.parametrize("fails_at", [1, 2, 3])
def test_a_failed_commit_replaces_no_file(fails_at: int, changes: list[FileChange], tmp_path: Path) -> None:
    note = staged.new_note()
    staged.stage(changes, note)
    asked = []

    def guard(_: FileChange) -> None:
        asked.append(1)
        if len(asked) == fails_at:
            raise MethodError("no")

    with pytest.raises(MethodError) as caught:
        staged.commit(changes, note, guard)
    assert caught.value.restored
    assert contents(tmp_path) == {"a": b"a1"}
    assert [staged.is_replaced(c.path, n, note) for n, c in enumerate(changes)] == [False] * 3
    staged.discard([c.path for c in changes], note)
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_a_file_changed_by_another_program_is_not_replaced(changes: list[FileChange], tmp_path: Path) -> None:
    (tmp_path / "c").write_bytes(b"theirs")
    with pytest.raises(ChangedError):
        staged.commit(changes, staged.new_note(), lambda _: None)
    assert contents(tmp_path) == {"a": b"a1", "c": b"theirs"}


def test_a_rollback_does_not_overwrite_another_programs_change(changes: list[FileChange], tmp_path: Path) -> None:
    """Such a file may hold the only copy of refreshed credentials: the error says that the rollback is incomplete."""
    asked = []

    def guard(_: FileChange) -> None:
        asked.append(1)
        if len(asked) == 2:
            (tmp_path / "a").write_bytes(b"theirs")
            raise MethodError("no")

    with pytest.raises(MethodError, match="cannot restore") as caught:
        staged.commit(changes, staged.new_note(), guard)
    assert not caught.value.restored
    assert contents(tmp_path) == {"a": b"theirs"}


def test_a_folder_in_place_of_a_file_is_refused(changes: list[FileChange], tmp_path: Path) -> None:
    os.mkdir(tmp_path / "c")  # noqa: PTH102
    with pytest.raises(MethodError, match="not a regular file"):
        staged.stage(changes, staged.new_note())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "c"]


def test_leftovers_are_removed_where_a_swap_writes_and_nowhere_else(tmp_path: Path) -> None:
    """A copy of credentials that a killed run was just writing must not stay for ever."""
    state = tmp_path / "above" / "state"
    cleaned = [tmp_path / "live", tmp_path / "store", state, state / "unclaimed", state / "generations" / "main"]
    old = {}
    for folder in (*cleaned, state.parent):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        old[folder] = folder / ".failover-tmp-0123456789abcdef"
        old[folder].touch(mode=0o600)
        os.utime(old[folder], (0, 0))
    staged.clean_leftovers([tmp_path / "live" / "a"], [Account(name="main", store=str(tmp_path / "store"))], state)
    assert [folder for folder, path in old.items() if path.exists()] == [state.parent]
