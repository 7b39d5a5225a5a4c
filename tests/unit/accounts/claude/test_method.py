"""Method claude: who owns the live credentials and where they go, what is refused, and refreshes in between."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from failover_oneshot.accounts.claude.store import CREDENTIALS, IDENTITY_FILE
from failover_oneshot.accounts.registry import MethodError
from failover_oneshot.config.model import Account
from failover_oneshot.ctl.demo.sandbox import refresh_token
from tests.support.account_methods import ClaudeSandbox, identity, instead, load, login, write
from tests.support.paths import ROOT


@pytest.fixture
def sandbox(tmp_path: Path) -> ClaudeSandbox:
    return ClaudeSandbox(tmp_path)


def stored(sandbox: ClaudeSandbox, name: str) -> Any:
    return load(sandbox.stored(name) / ".credentials.json")["claudeAiOauth"]


def aside(sandbox: ClaudeSandbox) -> list[str]:
    return sorted(p.name.split(".", 1)[1] for p in sandbox.unclaimed.iterdir()) if sandbox.unclaimed.exists() else []


def save_back(sandbox: ClaudeSandbox) -> str:
    return sandbox.method().save_back(sandbox.main, {}).text


def test_refreshed_credentials_go_to_their_store_and_the_old_ones_stay(sandbox: ClaudeSandbox) -> None:
    assert "saved to main's store" in save_back(sandbox)
    assert stored(sandbox, "main") == login("main", 2)["claudeAiOauth"]
    assert load(sandbox.stored("main") / ".credentials.json.prev") == login("main", 1)
    assert list(load(sandbox.stored("main") / ".credentials.json")) == ["claudeAiOauth", "trustedDeviceToken"]
    assert "already" in save_back(sandbox)
    assert load(sandbox.stored("main") / ".credentials.json.prev") == login("main", 1)


def test_credentials_from_a_login_by_hand_go_to_their_own_account(sandbox: ClaudeSandbox) -> None:
    sandbox.log_in("backup", 5)
    assert sandbox.method().live_account() == "backup"
    assert "backup's store" in save_back(sandbox)
    assert stored(sandbox, "backup") == login("backup", 5)["claudeAiOauth"]
    assert stored(sandbox, "main") == login("main", 1)["claudeAiOauth"]


def test_unclaimed_credentials_are_kept_once_and_never_overwritten(sandbox: ClaudeSandbox) -> None:
    sandbox.log_in("stranger", 1)
    assert sandbox.method().live_account() is None
    assert "no certain owner" in save_back(sandbox)
    assert "no certain owner" in save_back(sandbox)
    assert aside(sandbox) == ["credentials.json", "oauthAccount.json"]
    sandbox.log_in("stranger", 2)
    sandbox.run(sandbox.main, sandbox.backup)
    assert aside(sandbox) == ["credentials.json"] * 2 + ["oauthAccount.json"] * 2
    found = [load(p) for p in sandbox.unclaimed.glob("*.credentials.json")]
    tokens = sorted(f["claudeAiOauth"]["refreshToken"] for f in found)
    assert tokens == [refresh_token("stranger", 1), refresh_token("stranger", 2)]
    assert sandbox.unclaimed.stat().st_mode & 0o777 == 0o700
    assert {p.stat().st_mode & 0o777 for p in sandbox.unclaimed.iterdir()} == {0o600}
    sandbox.assert_live("backup")


@pytest.mark.parametrize("blank", [{"accessToken": "", "refreshToken": "", "expiresAt": 9999}, {}, None])
def test_blank_credentials_overwrite_nothing(blank: object, sandbox: ClaudeSandbox) -> None:
    write(sandbox.folder / ".credentials.json", {"claudeAiOauth": blank, "mcpOAuth": {"x": 1.5}})
    assert "nothing to save" in save_back(sandbox)
    sandbox.run(sandbox.main, sandbox.backup)
    sandbox.assert_live("backup")
    assert stored(sandbox, "main") == login("main", 1)["claudeAiOauth"]
    assert aside(sandbox) == []


def test_older_credentials_overwrite_nothing_and_are_unclaimed(sandbox: ClaudeSandbox) -> None:
    sandbox.store("main", 9)
    assert "older" in save_back(sandbox)
    assert stored(sandbox, "main") == login("main", 9)["claudeAiOauth"]
    assert aside(sandbox) == ["credentials.json", "oauthAccount.json"]


def test_the_token_outweighs_the_identity_beside_it(sandbox: ClaudeSandbox) -> None:
    """As after a swap that was killed half-way and whose journal was lost."""
    write(sandbox.folder / ".credentials.json", login("backup", 1))
    assert sandbox.method().live_account() == "backup"
    assert "backup's store" in save_back(sandbox)
    assert stored(sandbox, "main") == login("main", 1)["claudeAiOauth"]


def test_the_lineage_decides_where_the_identity_is_missing(sandbox: ClaudeSandbox) -> None:
    lineage = sandbox.method().lineage()
    assert list(lineage.values()) == ["main"]
    assert sandbox.method(lineage).lineage() == lineage
    assert "fake" not in str(lineage)
    write(sandbox.settings, {"numStartups": 7})
    assert sandbox.method().live_account() is None
    assert sandbox.method(lineage).live_account() == "main"
    sandbox.method(lineage).save_back(None, {})
    assert stored(sandbox, "main") == login("main", 2)["claudeAiOauth"]


def test_credentials_never_captured_become_their_stores_first_content(sandbox: ClaudeSandbox) -> None:
    shutil.rmtree(sandbox.stored("main"))
    assert "does not exist" in str(sandbox.method().check(sandbox.main))
    sandbox.run(sandbox.main, sandbox.backup)
    sandbox.assert_live("backup")
    assert stored(sandbox, "main") == login("main", 2)["claudeAiOauth"]
    assert sandbox.stored("main").stat().st_mode & 0o777 == 0o700
    assert sandbox.method().check(sandbox.main) is None


def test_a_corrupt_store_file_of_the_outgoing_account_is_kept_too(sandbox: ClaudeSandbox) -> None:
    (sandbox.stored("main") / ".credentials.json").write_bytes(b'{"claudeAiOauth": {"acc')
    save_back(sandbox)
    assert stored(sandbox, "main") == login("main", 2)["claudeAiOauth"]
    assert [p.read_bytes() for p in sandbox.unclaimed.iterdir()] == [b'{"claudeAiOauth": {"acc']


def test_only_the_accounts_own_keys_move(sandbox: ClaudeSandbox) -> None:
    sandbox.store("backup", 1, trustedDeviceToken="fake-device-backup", mcpOAuth={"never": "this"}, other=1)
    sandbox.log_in("main", 2)
    text = '{"mcpOAuth":{"x":1.50},"claudeAiOauth":%s,"pluginSecrets":{"é":"\\u00e9"}}'
    (sandbox.folder / ".credentials.json").write_text(text % json.dumps(login("main", 2)["claudeAiOauth"]))
    sandbox.run(sandbox.main, sandbox.backup)
    live = (sandbox.folder / ".credentials.json").read_text()
    assert live.startswith('{"mcpOAuth":{"x":1.50},"claudeAiOauth":{')
    assert live.endswith('"pluginSecrets":{"é":"\\u00e9"},"trustedDeviceToken":"fake-device-backup"}')
    sandbox.run(sandbox.backup, sandbox.main)
    assert "trustedDeviceToken" not in load(sandbox.folder / ".credentials.json")
    assert load(sandbox.stored("backup") / ".credentials.json")["trustedDeviceToken"] == "fake-device-backup"


def test_a_swap_there_and_back_leaves_the_live_files_byte_for_byte(sandbox: ClaudeSandbox) -> None:
    before = (sandbox.folder / ".credentials.json").read_bytes(), sandbox.settings.read_bytes()
    (sandbox.folder / ".credentials.json").write_bytes(
        json.dumps(json.loads(before[0]), separators=(",", ":")).encode()
    )
    before = (sandbox.folder / ".credentials.json").read_bytes(), sandbox.settings.read_bytes()
    sandbox.run(sandbox.main, sandbox.backup)
    sandbox.run(sandbox.backup, sandbox.main)
    assert ((sandbox.folder / ".credentials.json").read_bytes(), sandbox.settings.read_bytes()) == before


def test_symbolic_links_stay_links(sandbox: ClaudeSandbox) -> None:
    for path in (sandbox.folder / ".credentials.json", sandbox.settings):
        real = sandbox.home / "real" / path.name
        real.parent.mkdir(exist_ok=True)
        path.rename(real)
        path.symlink_to(real)
    sandbox.run(sandbox.main, sandbox.backup)
    sandbox.assert_live("backup")
    sandbox.assert_tidy()
    assert (sandbox.folder / ".credentials.json").is_symlink()
    assert sandbox.settings.is_symlink()


def test_missing_live_files_are_created(sandbox: ClaudeSandbox) -> None:
    (sandbox.folder / ".credentials.json").unlink()
    sandbox.settings.unlink()
    sandbox.run(sandbox.main, sandbox.backup)
    assert load(sandbox.folder / ".credentials.json") == login("backup", 1)
    assert (
        sandbox.settings.read_text()
        == json.dumps({"oauthAccount": identity("backup")}, ensure_ascii=False, indent=2) + "\n"
    )
    sandbox.assert_tidy()


SPOILED: list[tuple[str, Callable[[ClaudeSandbox], object]]] = [
    ("is not a JSON object", lambda sandbox: sandbox.settings.write_bytes(b'{"numStartups": 7, "oau')),
    ("is not a JSON object", lambda sandbox: sandbox.settings.write_bytes(b"")),
    ("larger than", lambda sandbox: sandbox.settings.write_bytes(b'{"a":"' + b"x" * 65 * 1024 * 1024 + b'"}')),
    ("not a regular file", lambda sandbox: instead(sandbox.settings, Path.mkdir)),
    (
        "is not a JSON object",
        lambda sandbox: (sandbox.folder / ".credentials.json").write_bytes(b'{"claudeAiOauth": {"acc'),
    ),
    ("does not exist", lambda sandbox: shutil.rmtree(sandbox.folder)),
]


@pytest.mark.parametrize(("why", "spoil"), SPOILED)
def test_live_files_that_do_not_parse_are_left_unchanged(
    why: str, spoil: Callable[[ClaudeSandbox], object], sandbox: ClaudeSandbox
) -> None:
    spoil(sandbox)
    before = {p: p.read_bytes() for p in sandbox.home.rglob("*") if p.is_file()}
    with pytest.raises(MethodError, match=why) as caught:
        sandbox.run(sandbox.main, sandbox.backup)
    assert "fake-" not in str(caught.value)
    assert {p: p.read_bytes() for p in sandbox.home.rglob("*") if p.is_file()} == before


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
    ("neither accountUuid nor emailAddress", lambda store: (store / IDENTITY_FILE).write_bytes(b'{"accountUuid": 5}')),
    ("larger than", lambda store: (store / CREDENTIALS).write_bytes(b" " * 65 * 1024 * 1024)),
    ("not a regular file", lambda store: instead(store / CREDENTIALS, os.mkfifo)),
    ("symbolic links", lambda store: instead(store / CREDENTIALS, lambda path: path.symlink_to(path.name))),
    ("blank", lambda store: write(store / CREDENTIALS, {"claudeAiOauth": {"accessToken": "", "refreshToken": ""}})),
    ("same identity as main's store", lambda store: write(store / IDENTITY_FILE, identity("main"))),
    ("same credentials as main's store", lambda store: write(store / CREDENTIALS, login("main", 1))),
]


@pytest.mark.parametrize(("why", "spoil"), UNUSABLE)
def test_an_unusable_account_is_refused_with_the_reason(
    why: str, spoil: Callable[[Path], object], sandbox: ClaudeSandbox
) -> None:
    spoil(sandbox.stored("backup"))
    before = sandbox.live()
    reason = sandbox.method().check(sandbox.backup)
    assert reason
    assert why in reason
    assert "fake-" not in reason
    if "same" not in why:  # only `check` compares stores
        with pytest.raises(MethodError, match=why):
            sandbox.run(sandbox.main, sandbox.backup)
        assert sandbox.live() == before
        sandbox.assert_tidy()


def test_a_usable_account_has_no_problem(sandbox: ClaudeSandbox) -> None:
    assert sandbox.method().check(sandbox.main) is sandbox.method().check(sandbox.backup) is None
    assert sandbox.method().check(Account(name="x")) == "no store configured (accounts[].store)"


def test_a_swap_gives_up_with_no_change_while_claude_code_holds_a_lock(tmp_path: Path) -> None:
    sandbox = ClaudeSandbox(tmp_path, timeout=0.1)
    before = sandbox.live()
    for name in (".claude/.oauth_refresh.lock", ".claude.lock", ".claude.json.lock"):
        (tmp_path / name).mkdir()
        with pytest.raises(MethodError, match="holds the lock"):
            sandbox.run(sandbox.main, sandbox.backup)
        assert list(tmp_path.rglob("*.lock")) == [tmp_path / name]
        (tmp_path / name).rmdir()
    assert sandbox.live() == before
    assert stored(sandbox, "main") == login("main", 1)["claudeAiOauth"]


def test_an_install_without_the_locks_is_refused(sandbox: ClaudeSandbox) -> None:
    method = sandbox.method()
    note = method.prepare(sandbox.backup)
    before = sandbox.live()
    with pytest.raises(MethodError, match="not held"):
        method.install(sandbox.backup, note)
    assert sandbox.live() == before


def test_a_rollback_after_the_install_loses_no_credentials(sandbox: ClaudeSandbox) -> None:
    method = sandbox.method()
    with method.exclusive(5):
        method.save_back(sandbox.main, {})
        note = method.prepare(sandbox.backup)
        method.install(sandbox.backup, note)
        sandbox.refresh()
        for _ in range(2):
            method.undo(sandbox.main, note)
            sandbox.assert_live("main")
    assert stored(sandbox, "backup") == login("backup", 2)["claudeAiOauth"]
    assert stored(sandbox, "main") == login("main", 2)["claudeAiOauth"]
    sandbox.assert_tidy()


def test_a_swap_to_an_account_removed_from_the_config_is_rolled_back(sandbox: ClaudeSandbox) -> None:
    """Its store is no longer known: the installed credentials go to `unclaimed/`, and the old ones are back."""
    method = sandbox.method()
    with method.exclusive(5):
        method.save_back(sandbox.main, {})
        note = method.prepare(sandbox.backup)
        (sandbox.folder / f".failover-tmp-{note['token']}-0").replace(sandbox.folder / ".credentials.json")
    sandbox.config = replace(sandbox.config, accounts=(sandbox.main,))
    method = sandbox.method()
    with method.exclusive(5):
        method.undo(sandbox.main, note)
    assert sandbox.generation(sandbox.folder / ".credentials.json") == ("main", 2)
    assert load(sandbox.settings)["oauthAccount"] == identity("main")
    assert [load(p)["claudeAiOauth"] for p in sandbox.unclaimed.glob("*.credentials.json")] == [
        login("backup", 1)["claudeAiOauth"]
    ]
    sandbox.assert_tidy()


def test_credentials_made_by_hand_after_a_kill_are_kept(sandbox: ClaudeSandbox) -> None:
    """The live credentials are already the incoming account's when the operator logs in as another."""
    for name in ("main", "backup", "stranger"):
        method = sandbox.method()
        with method.exclusive(5):
            method.save_back(sandbox.main, {})
            note = method.prepare(sandbox.backup)
            waiting = sandbox.folder / f".failover-tmp-{note['token']}-0"
            waiting.replace(sandbox.folder / ".credentials.json")
        sandbox.log_in(name, 7)
        with method.exclusive(5):
            method.install(sandbox.backup, note)
            method.verify(sandbox.backup)
        everything = [p.read_text() for p in sandbox.home.rglob("*") if p.is_file()]
        assert any(refresh_token(name, 7) in content for content in everything)
        assert identity("backup") == load(sandbox.settings)["oauthAccount"]
        shutil.rmtree(sandbox.home)
        sandbox = ClaudeSandbox(sandbox.home)


def test_a_full_or_read_only_disk_changes_nothing(tmp_path: Path) -> None:
    """The live files are on their own small file system, in a separate mount namespace."""
    script = """
import errno, os, subprocess, sys
from pathlib import Path
from tests.support.account_methods import ClaudeSandbox, MethodError
home = Path(sys.argv[1]); mount = lambda *words: subprocess.run(["mount", *words], check=True)
folder = home / ".claude"; folder.mkdir()
mount("-t", "tmpfs", "-o", "size=64k", "none", str(folder))
sandbox = ClaudeSandbox(home)
before = sandbox.live()
def refused(words):
    try:
        sandbox.run(sandbox.main, sandbox.backup)
    except MethodError as error:
        assert words in str(error), error
    else:
        raise AssertionError("not refused")
    assert sandbox.live() == before
    sandbox.assert_tidy()
filler = os.open(folder / "filler", os.O_WRONLY | os.O_CREAT, 0o600)
try:
    while os.write(filler, b"x" * 4096): pass
except OSError: os.close(filler)
refused("No space left")
(folder / "filler").unlink()
mount("-o", "remount,ro", str(folder))
refused("Read-only")
mount("-o", "remount,rw", str(folder))
sandbox.run(sandbox.main, sandbox.backup)
sandbox.assert_live("backup")
print("done")
"""
    argv = ["unshare", "--mount", sys.executable, "-c", script, str(tmp_path)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    if subprocess.run(["unshare", "--mount", "true"], check=False, capture_output=True).returncode:
        pytest.skip("no mount namespace can be made here")
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
    assert done.stdout == "done\n", done.stderr
