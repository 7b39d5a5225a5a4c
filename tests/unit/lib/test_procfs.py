"""Processes read from /proc: made-up folders for rare cases, real processes for the rest."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from failover_oneshot.lib import procfs
from failover_oneshot.lib.procfs import Process
from tests.support.polling import poll


def listed(proc: Path, pid: int, **files: bytes) -> Path:
    folder = proc / str(pid)
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return proc


def stat(name: str = "sh", state: str = "S", foreground: int = 42) -> bytes:
    return f"42 ({name}) {state} 7 41 40 34816 {foreground} {'0 ' * 13}77 0 0\n".encode()


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        ["sleep", "600"], env={"PATH": os.environ["PATH"], "ODD": "a=b\udcff"}, start_new_session=True
    )
    yield process
    process.kill()
    process.wait()


@pytest.mark.parametrize("name", ["sh", "", "a b", ") (", "x) S 1 2 3 (y", "\n"])
def test_a_process_may_have_any_name(tmp_path: Path, name: str) -> None:
    expected = Process(pid=42, state="S", parent=7, group=41, foreground_group=42, started=77)
    assert procfs.process(42, listed(tmp_path, 42, stat=stat(name))) == expected


def test_a_real_process_with_an_odd_name(tmp_path: Path) -> None:
    program = tmp_path / "a ) ("
    program.symlink_to("/bin/sleep")
    with subprocess.Popen([program, "600"]) as child:
        found = procfs.process(child.pid)
        child.kill()
    assert found is not None
    assert (found.pid, found.parent, found.group) == (child.pid, os.getpid(), os.getpgrp())


def test_the_foreground_group_has_the_terminal(tmp_path: Path) -> None:
    for pid, foreground, expected in ((1, 41, True), (2, 42, False), (3, -1, False)):
        process = procfs.process(pid, listed(tmp_path, pid, stat=stat(foreground=foreground)))
        assert process is not None
        assert process.in_foreground is expected


@pytest.mark.parametrize("content", [b"", b"42", b"42 (sh) S 7", stat()[:40], stat().replace(b" 7 ", b" x "), b"\xff"])
def test_a_damaged_stat_is_not_a_process(tmp_path: Path, content: bytes) -> None:
    assert procfs.process(42, listed(tmp_path, 42, stat=content)) is None


def test_a_zombie_is_listed_and_has_ended(sleeper: subprocess.Popen[bytes]) -> None:
    before = procfs.process(sleeper.pid)
    assert before is not None
    assert not before.ended
    assert not procfs.ended(sleeper.pid)
    os.kill(sleeper.pid, signal.SIGKILL)
    poll(lambda: procfs.ended(sleeper.pid))
    zombie = procfs.process(sleeper.pid)
    assert zombie is not None
    assert (zombie.ended, zombie.state, zombie.started) == (True, "Z", before.started)
    assert sleeper.pid in procfs.pids()
    assert procfs.arguments(sleeper.pid) == []
    assert procfs.environ(sleeper.pid) == {}
    sleeper.wait()
    assert procfs.process(sleeper.pid) is None
    assert procfs.ended(sleeper.pid)
    assert procfs.arguments(sleeper.pid) is None


def test_without_proc_no_process_is_known(tmp_path: Path) -> None:
    nowhere = tmp_path / "none"
    assert procfs.process(1, nowhere) is None
    assert not procfs.ended(1, nowhere)
    assert procfs.pids(nowhere) == []
    assert procfs.arguments(1, nowhere) is None
    assert procfs.environ(1, nowhere) == {}


def test_processes_are_the_folders_with_a_number(tmp_path: Path) -> None:
    for name in ("1", "23", "self", "4x", "sys"):
        (tmp_path / name).mkdir()
    assert sorted(procfs.pids(tmp_path)) == [1, 23]
    assert {1, os.getpid()} <= {*procfs.pids()}


def test_the_command_line_is_read_without_padding(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    poll(lambda: procfs.arguments(sleeper.pid) == [b"sleep", b"600"])
    padded = listed(tmp_path, 42, cmdline=b"sh\0-c\0a b\0\0\0")
    assert procfs.arguments(42, padded) == [b"sh", b"-c", b"a b"]


def test_the_environment_is_read(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    expected = {"PATH": os.environ["PATH"], "ODD": "a=b\udcff"}
    poll(lambda: procfs.environ(sleeper.pid) == expected)
    proc = listed(tmp_path, 42, environ=b"A=1\0EMPTY=\0A=2\0junk\0\0LAST=x")
    assert procfs.environ(42, proc) == {"A": "1", "EMPTY": "", "LAST": "x"}


def test_mount_points_are_read_without_their_escapes(tmp_path: Path) -> None:
    (tmp_path / "self").mkdir()
    (tmp_path / "self" / "mountinfo").write_bytes(
        b"22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
        b"36 22 0:31 /a\\040file /home/me/with\\040space\\011tab\\012line\\134040 rw master:2 - tmpfs tmp rw\n"
        b"37 22 0:31 / /home/\xc3\xa9\xff\x0c rw - tmpfs tmp rw\n"
        b"38 22 0:31\n\n"
    )
    assert procfs.mount_points(tmp_path) == {"/", "/home/me/with space\ttab\nline\\040", "/home/é\udcff\x0c"}


def test_without_proc_no_mount_point_is_known(tmp_path: Path) -> None:
    assert procfs.mount_points(tmp_path) == frozenset()
    assert "/" in procfs.mount_points()


def test_unreadable_files_are_treated_as_missing(tmp_path: Path) -> None:
    for name in ("42/stat", "42/cmdline", "42/environ", "self/mountinfo"):
        (tmp_path / name).mkdir(parents=True)
    assert procfs.process(42, tmp_path) is None
    assert procfs.arguments(42, tmp_path) is None
    assert procfs.environ(42, tmp_path) == {}
    assert procfs.mount_points(tmp_path) == frozenset()
