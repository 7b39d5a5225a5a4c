"""Method claude: whose the live login is and where it goes, what is refused, and a client that refreshes meanwhile."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from failover_oneshot.accounts.registry import MethodError
from failover_oneshot.accounts.store import CREDENTIALS, IDENTITY_FILE
from failover_oneshot.config.model import Account
from tests.support.account_methods import ClaudeLab, identity, instead, load, login, write
from tests.support.paths import ROOT
from tests.support.polling import poll
from tests.support.tmux_server import MEMORY

SWAPS = 200  # to and fro under a client that refreshes its token all the time


@pytest.fixture
def lab(tmp_path: Path) -> ClaudeLab:
    return ClaudeLab(tmp_path)


def stored(lab: ClaudeLab, name: str) -> Any:
    return load(lab.stored(name) / ".credentials.json")["claudeAiOauth"]


def aside(lab: ClaudeLab) -> list[str]:
    return sorted(p.name.split(".", 1)[1] for p in lab.unclaimed.iterdir()) if lab.unclaimed.exists() else []


def save_back(lab: ClaudeLab) -> str:
    return lab.method().save_back(lab.main, {})


def test_the_refreshed_login_goes_to_its_store_and_the_one_before_stays(lab: ClaudeLab) -> None:
    assert "saved to the store of main" in save_back(lab)
    assert stored(lab, "main") == login("main", 2)["claudeAiOauth"]
    assert load(lab.stored("main") / ".credentials.json.prev") == login("main", 1)
    assert list(load(lab.stored("main") / ".credentials.json")) == ["claudeAiOauth"]
    assert "already" in save_back(lab)
    assert load(lab.stored("main") / ".credentials.json.prev") == login("main", 1)


def test_a_login_made_by_hand_goes_to_its_own_account(lab: ClaudeLab) -> None:
    lab.log_in("backup", 5)
    assert lab.method().live_account() == "backup"
    assert "store of backup" in save_back(lab)
    assert stored(lab, "backup") == login("backup", 5)["claudeAiOauth"]
    assert stored(lab, "main") == login("main", 1)["claudeAiOauth"]


def test_a_strangers_login_is_set_aside_once_and_never_overwritten(lab: ClaudeLab) -> None:
    lab.log_in("stranger", 1)
    assert lab.method().live_account() is None
    assert "no account" in save_back(lab)
    assert "no account" in save_back(lab)
    assert aside(lab) == ["credentials.json", "oauthAccount.json"]
    lab.log_in("stranger", 2)
    lab.run(lab.main, lab.backup)
    assert aside(lab) == ["credentials.json"] * 2 + ["oauthAccount.json"] * 2
    found = [load(p) for p in lab.unclaimed.glob("*.credentials.json")]
    assert sorted(f["claudeAiOauth"]["refreshToken"] for f in found) == ["fake-rt-stranger-1", "fake-rt-stranger-2"]
    assert lab.unclaimed.stat().st_mode & 0o777 == 0o700
    assert {p.stat().st_mode & 0o777 for p in lab.unclaimed.iterdir()} == {0o600}
    lab.assert_live("backup")


@pytest.mark.parametrize("blank", [{"accessToken": "", "refreshToken": "", "expiresAt": 9999}, {}, None])
def test_a_blank_login_overwrites_nothing(blank: object, lab: ClaudeLab) -> None:
    write(lab.folder / ".credentials.json", {"claudeAiOauth": blank, "mcpOAuth": {"x": 1.5}})
    assert "nothing to save" in save_back(lab)
    lab.run(lab.main, lab.backup)
    lab.assert_live("backup")
    assert stored(lab, "main") == login("main", 1)["claudeAiOauth"]
    assert aside(lab) == []


def test_an_older_login_overwrites_nothing_and_is_set_aside(lab: ClaudeLab) -> None:
    lab.store("main", 9)
    assert "older" in save_back(lab)
    assert stored(lab, "main") == login("main", 9)["claudeAiOauth"]
    assert aside(lab) == ["credentials.json", "oauthAccount.json"]


def test_the_token_counts_more_than_the_identity_beside_it(lab: ClaudeLab) -> None:
    """As after a swap that was killed half-way and forgotten."""
    write(lab.folder / ".credentials.json", login("backup", 1))
    assert lab.method().live_account() == "backup"
    assert "store of backup" in save_back(lab)
    assert stored(lab, "main") == login("main", 1)["claudeAiOauth"]


def test_the_lineage_tells_where_the_identity_is_missing(lab: ClaudeLab) -> None:
    lineage = lab.method().lineage()
    assert list(lineage.values()) == ["main"]
    assert lab.method(lineage).lineage() == lineage
    assert "fake" not in str(lineage)
    write(lab.settings, {"numStartups": 7})
    assert lab.method().live_account() is None
    assert lab.method(lineage).live_account() == "main"
    lab.method(lineage).save_back(None, {})
    assert stored(lab, "main") == login("main", 2)["claudeAiOauth"]


def test_the_login_of_an_account_that_was_never_captured_is_its_stores_first_content(lab: ClaudeLab) -> None:
    shutil.rmtree(lab.stored("main"))
    assert "does not exist" in str(lab.method().check(lab.main))
    lab.run(lab.main, lab.backup)
    lab.assert_live("backup")
    assert stored(lab, "main") == login("main", 2)["claudeAiOauth"]
    assert lab.stored("main").stat().st_mode & 0o777 == 0o700
    assert lab.method().check(lab.main) is None


def test_a_corrupt_store_of_the_outgoing_account_is_kept_too(lab: ClaudeLab) -> None:
    (lab.stored("main") / ".credentials.json").write_bytes(b'{"claudeAiOauth": {"acc')
    save_back(lab)
    assert stored(lab, "main") == login("main", 2)["claudeAiOauth"]
    assert [p.read_bytes() for p in lab.unclaimed.iterdir()] == [b'{"claudeAiOauth": {"acc']


def test_only_the_accounts_own_keys_move(lab: ClaudeLab) -> None:
    lab.store("backup", 1, trustedDeviceToken="fake-device-backup", mcpOAuth={"never": "this"}, other=1)
    lab.log_in("main", 2)
    text = '{"mcpOAuth":{"x":1.50},"claudeAiOauth":%s,"pluginSecrets":{"é":"\\u00e9"}}'
    (lab.folder / ".credentials.json").write_text(text % json.dumps(login("main", 2)["claudeAiOauth"]))
    lab.run(lab.main, lab.backup)
    live = (lab.folder / ".credentials.json").read_text()
    assert live.startswith('{"mcpOAuth":{"x":1.50},"claudeAiOauth":{')
    assert live.endswith('"pluginSecrets":{"é":"\\u00e9"},"trustedDeviceToken":"fake-device-backup"}')
    lab.run(lab.backup, lab.main)
    assert "trustedDeviceToken" not in load(lab.folder / ".credentials.json")
    assert load(lab.stored("backup") / ".credentials.json")["trustedDeviceToken"] == "fake-device-backup"


def test_there_and_back_leaves_the_live_files_to_the_byte(lab: ClaudeLab) -> None:
    before = (lab.folder / ".credentials.json").read_bytes(), lab.settings.read_bytes()
    (lab.folder / ".credentials.json").write_bytes(json.dumps(json.loads(before[0]), separators=(",", ":")).encode())
    before = (lab.folder / ".credentials.json").read_bytes(), lab.settings.read_bytes()
    lab.run(lab.main, lab.backup)
    lab.run(lab.backup, lab.main)
    assert ((lab.folder / ".credentials.json").read_bytes(), lab.settings.read_bytes()) == before


def test_links_stay_links(lab: ClaudeLab) -> None:
    for path in (lab.folder / ".credentials.json", lab.settings):
        real = lab.home / "real" / path.name
        real.parent.mkdir(exist_ok=True)
        path.rename(real)
        path.symlink_to(real)
    lab.run(lab.main, lab.backup)
    lab.assert_live("backup")
    lab.assert_tidy()
    assert (lab.folder / ".credentials.json").is_symlink()
    assert lab.settings.is_symlink()


def test_files_that_do_not_exist_are_made(lab: ClaudeLab) -> None:
    (lab.folder / ".credentials.json").unlink()
    lab.settings.unlink()
    lab.run(lab.main, lab.backup)
    assert load(lab.folder / ".credentials.json") == login("backup", 1)
    assert (
        lab.settings.read_text()
        == json.dumps({"oauthAccount": identity("backup")}, ensure_ascii=False, indent=2) + "\n"
    )
    lab.assert_tidy()


SPOILED: list[tuple[str, Callable[[ClaudeLab], object]]] = [
    ("is not a JSON object", lambda lab: lab.settings.write_bytes(b'{"numStartups": 7, "oau')),
    ("is not a JSON object", lambda lab: lab.settings.write_bytes(b"")),
    ("larger than", lambda lab: lab.settings.write_bytes(b'{"a":"' + b"x" * 11_000_000 + b'"}')),
    ("not a regular file", lambda lab: instead(lab.settings, Path.mkdir)),
    ("is not a JSON object", lambda lab: (lab.folder / ".credentials.json").write_bytes(b'{"claudeAiOauth": {"acc')),
    ("does not exist", lambda lab: shutil.rmtree(lab.folder)),
]


@pytest.mark.parametrize(("why", "spoil"), SPOILED)
def test_what_is_live_is_left_alone_when_it_is_not_understood(
    why: str, spoil: Callable[[ClaudeLab], object], lab: ClaudeLab
) -> None:
    spoil(lab)
    before = {p: p.read_bytes() for p in lab.home.rglob("*") if p.is_file()}
    with pytest.raises(MethodError, match=why) as caught:
        lab.run(lab.main, lab.backup)
    assert "fake-" not in str(caught.value)
    assert {p: p.read_bytes() for p in lab.home.rglob("*") if p.is_file()} == before


UNUSABLE: list[tuple[str, Callable[[Path], object]]] = [
    ("does not exist", shutil.rmtree),
    ("is not a folder", lambda store: instead(store, lambda path: write(path, 1))),
    ("is empty", lambda store: instead(store, Path.mkdir)),
    ("credentials.json does not exist", lambda store: (store / CREDENTIALS).unlink()),
    ("oauthAccount.json does not exist", lambda store: (store / IDENTITY_FILE).unlink()),
    ("is empty", lambda store: (store / CREDENTIALS).write_bytes(b"")),
    ("not a JSON object", lambda store: (store / CREDENTIALS).write_bytes(b'{"claudeAiOauth": {"fake-')),
    ("not a JSON object", lambda store: (store / CREDENTIALS).write_bytes(bytes(range(128, 256)))),
    ("not a JSON object", lambda store: (store / IDENTITY_FILE).write_bytes(b"[]")),
    ("names nobody", lambda store: (store / IDENTITY_FILE).write_bytes(b'{"accountUuid": 5}')),
    ("larger than", lambda store: (store / CREDENTIALS).write_bytes(b" " * 2_000_000)),
    ("not a regular file", lambda store: instead(store / CREDENTIALS, os.mkfifo)),
    ("symbolic links", lambda store: instead(store / CREDENTIALS, lambda path: path.symlink_to(path.name))),
    ("blank", lambda store: write(store / CREDENTIALS, {"claudeAiOauth": {"accessToken": "", "refreshToken": ""}})),
    ("same identity as that of account main", lambda store: write(store / IDENTITY_FILE, identity("main"))),
    ("same login as that of account main", lambda store: write(store / CREDENTIALS, login("main", 1))),
]


@pytest.mark.parametrize(("why", "spoil"), UNUSABLE)
def test_what_can_not_be_swapped_to(why: str, spoil: Callable[[Path], object], lab: ClaudeLab) -> None:
    spoil(lab.stored("backup"))
    before = lab.live()
    reason = lab.method().check(lab.backup)
    assert reason
    assert why in reason
    assert "fake-" not in reason
    if "same" not in why:  # (two accounts with the same login are told by `check` alone)
        with pytest.raises(MethodError, match=why):
            lab.run(lab.main, lab.backup)
        assert lab.live() == before
        lab.assert_tidy()


def test_usable(lab: ClaudeLab) -> None:
    assert lab.method().check(lab.main) is lab.method().check(lab.backup) is None
    assert lab.method().check(Account(name="x")) == "it has no store in the config"


def test_a_lock_of_the_client_is_waited_for_and_then_given_up_with_nothing_changed(tmp_path: Path) -> None:
    lab = ClaudeLab(tmp_path, timeout=0.1)
    before = lab.live()
    for name in (".claude/.oauth_refresh.lock", ".claude.lock", ".claude.json.lock"):
        (tmp_path / name).mkdir()
        with pytest.raises(MethodError, match="holds its lock"):
            lab.run(lab.main, lab.backup)
        assert list(tmp_path.rglob("*.lock")) == [tmp_path / name]
        (tmp_path / name).rmdir()
    assert lab.live() == before
    assert stored(lab, "main") == login("main", 1)["claudeAiOauth"]


def test_without_the_locks_nothing_is_installed(lab: ClaudeLab) -> None:
    method = lab.method()
    note = method.prepare(lab.backup)
    before = lab.live()
    with pytest.raises(MethodError, match="not held"):
        method.install(lab.backup, note)
    assert lab.live() == before


def test_undone_after_the_install_nothing_of_either_account_is_lost(lab: ClaudeLab) -> None:
    method = lab.method()
    with method.exclusive(5):
        method.save_back(lab.main, {})
        note = method.prepare(lab.backup)
        method.install(lab.backup, note)
        lab.refresh()
        for _ in range(2):
            method.undo(lab.main, note)
            lab.assert_live("main")
    assert stored(lab, "backup") == login("backup", 2)["claudeAiOauth"]
    assert stored(lab, "main") == login("main", 2)["claudeAiOauth"]
    lab.assert_tidy()


def test_undone_for_an_account_that_the_operator_took_out_of_the_config(lab: ClaudeLab) -> None:
    """Its store is not known any more: what it had made live is set aside, and the login before is back."""
    method = lab.method()
    with method.exclusive(5):
        method.save_back(lab.main, {})
        note = method.prepare(lab.backup)
        (lab.folder / f".failover-tmp-{note['token']}-0").replace(lab.folder / ".credentials.json")
    lab.config = replace(lab.config, accounts=(lab.main,))
    method = lab.method()
    with method.exclusive(5):
        method.undo(lab.main, note)
    assert lab.generation(lab.folder / ".credentials.json") == ("main", 2)
    assert load(lab.settings)["oauthAccount"] == identity("main")
    assert [load(p)["claudeAiOauth"] for p in lab.unclaimed.glob("*.credentials.json")] == [
        login("backup", 1)["claudeAiOauth"]
    ]
    lab.assert_tidy()


def test_a_login_by_hand_between_a_kill_and_the_next_run_is_kept(lab: ClaudeLab) -> None:
    """The credentials are the incoming account's already, when the operator logs in as somebody else."""
    for name in ("main", "backup", "stranger"):
        method = lab.method()
        with method.exclusive(5):
            method.save_back(lab.main, {})
            note = method.prepare(lab.backup)
            waiting = lab.folder / f".failover-tmp-{note['token']}-0"
            waiting.replace(lab.folder / ".credentials.json")
        lab.log_in(name, 7)
        with method.exclusive(5):
            method.install(lab.backup, note)
            method.verify(lab.backup)
        everything = [p.read_text() for p in lab.home.rglob("*") if p.is_file()]
        assert any(f"fake-rt-{name}-7" in content for content in everything)
        assert identity("backup") == load(lab.settings)["oauthAccount"]
        shutil.rmtree(lab.home)
        lab = ClaudeLab(lab.home)


def test_a_full_disk_and_a_read_only_one(tmp_path: Path) -> None:
    """A small file system of its own for the live files, in a mount namespace of its own."""
    script = """
import errno, os, subprocess, sys
from pathlib import Path
from tests.support.account_methods import ClaudeLab, MethodError
home = Path(sys.argv[1]); mount = lambda *words: subprocess.run(["mount", *words], check=True)
folder = home / ".claude"; folder.mkdir()
mount("-t", "tmpfs", "-o", "size=64k", "none", str(folder))
lab = ClaudeLab(home)
before = lab.live()
def refused(words):
    try:
        lab.run(lab.main, lab.backup)
    except MethodError as error:
        assert words in str(error), error
    else:
        raise AssertionError("it was not refused")
    assert lab.live() == before
    lab.assert_tidy()
filler = os.open(folder / "filler", os.O_WRONLY | os.O_CREAT, 0o600)
try:
    while os.write(filler, b"x" * 4096): pass
except OSError: os.close(filler)
refused("No space left")
(folder / "filler").unlink()
mount("-o", "remount,ro", str(folder))
refused("Read-only")
mount("-o", "remount,rw", str(folder))
lab.run(lab.main, lab.backup)
lab.assert_live("backup")
print("done")
"""
    argv = ["unshare", "--mount", sys.executable, "-c", script, str(tmp_path)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    if subprocess.run(["unshare", "--mount", "true"], check=False, capture_output=True).returncode:
        pytest.skip("no mount namespace can be made here")
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
    assert done.stdout == "done\n", done.stderr


@pytest.fixture
def quick_lab() -> Iterator[ClaudeLab]:
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        yield ClaudeLab(Path(folder))


def test_a_client_that_refreshes_all_the_time(quick_lab: ClaudeLab) -> None:
    """Each token may be used once: a lost refresh or a mixture of accounts ends the client with an error."""
    lab = quick_lab
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            client(lab)
            status = 0
        finally:
            os._exit(status)
    try:
        for number in range(SWAPS):
            poll(partial(enough, lab, number))
            order = (lab.main, lab.backup) if number % 2 == 0 else (lab.backup, lab.main)
            lab.run(*order)
    finally:
        (lab.home / "stop").touch()
        ended = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert ended == 0
    lab.assert_live("main")
    ledger = load(lab.home / "ledger")
    lab.method().save_back(lab.main, {})
    for name in ("main", "backup"):
        assert lab.generation(lab.stored(name) / ".credentials.json") == (name, ledger[name])
    assert not lab.unclaimed.exists()
    (lab.home / "stop").chmod(0o600)
    lab.assert_tidy()


def enough(lab: ClaudeLab, refreshes: int) -> bool:
    return (lab.home / "ledger").exists() and load(lab.home / "ledger")["count"] > refreshes


def client(lab: ClaudeLab) -> None:
    """Refreshes under its own locks, every 10 ms, and keeps the server's ledger of the newest tokens."""
    ledger = {"main": 2, "backup": 1, "count": 0}
    locks = [lab.folder / ".oauth_refresh.lock", lab.home / ".claude.lock", lab.home / ".claude.json.lock"]
    while not (lab.home / "stop").exists():
        for lock in locks:
            while True:
                try:
                    lock.mkdir()
                    break
                except FileExistsError:
                    time.sleep(0.001)
        name, generation = lab.generation(lab.folder / ".credentials.json")
        assert load(lab.settings)["oauthAccount"] == identity(name), "mixed accounts"
        assert ledger[name] == generation, "a refresh was lost"
        lab.refresh()
        ledger[name] += 1
        ledger["count"] += 1
        write(lab.home / "ledger.new", ledger)
        (lab.home / "ledger.new").replace(lab.home / "ledger")
        for lock in reversed(locks):
            lock.rmdir()
        time.sleep(0.01)
