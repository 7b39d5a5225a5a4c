"""Atomic, private writes that follow links, and the cleanup of leftovers. All tests use real files."""

import errno
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from failover_oneshot.lib import atomicfile


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_a_new_file_gets_the_mode_an_existing_one_keeps_a_narrower(tmp_path: Path) -> None:
    path = tmp_path / "file"
    atomicfile.write_atomic(path, b"new")
    assert (path.read_bytes(), mode(path)) == (b"new", 0o600)
    for before, after in ((0o644, 0o600), (0o400, 0o400), (0o600, 0o600)):
        path.chmod(before)
        atomicfile.write_atomic(path, b"again")
        assert (path.read_bytes(), mode(path)) == (b"again", after)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_a_temporary_file_is_private_whatever_the_umask(umask: int, tmp_path: Path) -> None:
    old = os.umask(umask)
    try:
        temporary = atomicfile.write_temporary(tmp_path / "file", b"secret")
    finally:
        os.umask(old)
    assert mode(temporary) == 0o600
    assert temporary.name.startswith(atomicfile.PREFIX)


def test_links_are_followed_to_the_real_file(tmp_path: Path) -> None:
    real = tmp_path / "real" / "file"
    real.parent.mkdir()
    (tmp_path / "link").symlink_to("other")
    (tmp_path / "other").symlink_to(real)
    atomicfile.write_atomic(tmp_path / "link", b"made")  # the target of the links did not exist
    atomicfile.write_atomic(tmp_path / "link", b"replaced", backup=tmp_path / "link.bak")
    assert (tmp_path / "link").is_symlink()
    assert (real.read_bytes(), (tmp_path / "link.bak").read_bytes()) == (b"replaced", b"made")


def test_circular_links_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match="symbolic links") as caught:
        atomicfile.write_atomic(tmp_path / "a", b"x")
    assert caught.value.errno == errno.ELOOP
    assert (tmp_path / "a").is_symlink()


def test_the_previous_version_becomes_the_backup(tmp_path: Path) -> None:
    path, backup = tmp_path / "file", tmp_path / "file.bak"
    atomicfile.write_atomic(path, b"1", backup=backup)
    assert not backup.exists()
    atomicfile.write_atomic(path, b"2", backup=backup)
    assert (path.read_bytes(), backup.read_bytes(), mode(backup)) == (b"2", b"1", 0o600)


def test_only_regular_files_are_read_or_replaced(tmp_path: Path) -> None:
    """A pipe would block, and a device would never end."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "device").symlink_to("/dev/zero")
    for name in ("pipe", "folder", "device"):
        with pytest.raises(ValueError, match="not a regular file"):
            atomicfile.read_bounded(tmp_path / name, 10)
        with pytest.raises(ValueError, match="not a regular file"):
            atomicfile.write_atomic(tmp_path / name, b"x")
    with socket.socket(socket.AF_UNIX) as listener:
        os.chdir(tmp_path)
        listener.bind("socket")
        with pytest.raises((OSError, ValueError)):
            atomicfile.read_bounded(tmp_path / "socket", 10)


def test_a_file_is_read_up_to_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    assert atomicfile.read_bounded(path, 5) == b"12345"
    with pytest.raises(ValueError, match="larger than 4 bytes"):
        atomicfile.read_bounded(path, 4)
    with pytest.raises(FileNotFoundError):
        atomicfile.read_bounded(tmp_path / "none", 4)


def test_a_failed_write_leaves_the_file_and_no_temporary(tmp_path: Path) -> None:
    """With the real limit on the size of a file, in a separate process."""
    path = tmp_path / "file"
    path.write_bytes(b"before")
    script = (
        "import resource, signal, sys; from failover_oneshot.lib import atomicfile; "
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)); "
        "atomicfile.write_atomic(sys.argv[1], b'x' * 100000)"
    )
    done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=False)
    assert "File too large" in done.stderr
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("file", b"before")]


def test_only_old_leftovers_that_are_ours_are_deleted(tmp_path: Path) -> None:
    def make(name: str, permissions: int = 0o600, age: float = 1e6) -> Path:
        path = tmp_path / name
        path.write_bytes(b"x")
        path.chmod(permissions)
        os.utime(path, (time.time() - age,) * 2)
        return path

    gone = {make(atomicfile.PREFIX + "old"), make(atomicfile.PREFIX + "narrow", 0o400)}
    make(atomicfile.PREFIX + "young", age=60)
    make(atomicfile.PREFIX + "wide", 0o644)
    make("credentials")
    (tmp_path / (atomicfile.PREFIX + "folder")).mkdir()
    (tmp_path / (atomicfile.PREFIX + "link")).symlink_to("credentials")
    before = set(tmp_path.iterdir())
    assert atomicfile.clean_leftovers(tmp_path) == len(gone)
    assert set(tmp_path.iterdir()) == before - gone
    assert atomicfile.clean_leftovers(tmp_path / "nowhere") == 0


def test_what_was_renamed_to_be_removed_is_a_leftover(tmp_path: Path) -> None:
    """Of any kind and mode, with any time stamp: it was another program's."""
    folder, file = tmp_path / f"{atomicfile.ASIDE}1", tmp_path / f"{atomicfile.ASIDE}2"
    (folder / "inner").mkdir(parents=True)
    (folder / "link").symlink_to(tmp_path)
    file.touch(0o644)
    for path in (folder, file):
        os.utime(path, (4e9, 4e9))
    assert atomicfile.clean_leftovers(tmp_path) == 0
    assert atomicfile.clean_leftovers(tmp_path, -1) == 2
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_others_can_write_is_named_with_the_fix(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    path = folder / "file"
    assert atomicfile.shared(path) is None, "neither of them exists"
    folder.mkdir(0o755)
    assert atomicfile.shared(path) is None
    path.write_text("")
    for folder_mode, file_mode, culprit in (
        (0o755, 0o644, None),
        (0o700, 0o666, None),
        (0o755, 0o602, path),
        (0o702, 0o600, folder),
        (0o1777, 0o600, folder),
    ):
        path.chmod(file_mode)
        folder.chmod(folder_mode)
        why = atomicfile.shared(path)
        assert (why is None) is (culprit is None), (oct(folder_mode), oct(file_mode), why)
        if culprit:
            assert f"`chmod go-w '{culprit}'`" in str(why)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to a group that it is not in")
def test_only_the_private_group_of_the_user_may_write(tmp_path: Path) -> None:
    """With umask 002, as on many systems, a user's folders are writable for the group with the user's number."""
    folder, path = tmp_path / "folder", tmp_path / "folder" / "file"
    folder.mkdir(0o755)
    path.write_text("")
    for gid, folder_mode, file_mode, culprit in (
        (os.geteuid(), 0o775, 0o664, None),
        (65534, 0o775, 0o644, folder),
        (65534, 0o711, 0o620, path),
        (65534, 0o755, 0o640, None),
    ):
        for place, mode in ((path, file_mode), (folder, folder_mode)):
            os.chown(place, -1, gid)
            place.chmod(mode)
        why = atomicfile.shared(path)
        assert (why is None) is (culprit is None), (gid, oct(folder_mode), oct(file_mode), why)


def test_a_link_is_as_safe_as_its_target(tmp_path: Path) -> None:
    for name, folder_mode in (("safe", 0o700), ("open", 0o777)):
        (tmp_path / name).mkdir()
        (tmp_path / name).chmod(folder_mode)
    (tmp_path / "out").symlink_to("open/file")
    (tmp_path / "in").symlink_to("safe/file")
    assert atomicfile.shared(tmp_path / "in") is None
    assert "open is writable by other users" in str(atomicfile.shared(tmp_path / "out"))
    (tmp_path / "open/link").symlink_to("../safe/file")
    assert "open is writable by other users" in str(atomicfile.shared(tmp_path / "open/link"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_files_of_another_user_are_not_trusted(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir(0o700)
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to("file")
    for name in ("theirs", "file", "link"):
        os.chown(tmp_path / name, 65534, 65534, follow_symlinks=False)
    for name in ("theirs/file", "file", "link"):
        assert "another user (uid 65534)" in str(atomicfile.shared(tmp_path / name))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root writes other users' files")
def test_a_file_that_root_replaces_keeps_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x")
    os.chown(path, 65534, 65534)
    atomicfile.write_atomic(path, b"y")
    assert (path.stat().st_uid, path.stat().st_gid) == (65534, 65534)
