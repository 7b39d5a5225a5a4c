"""Method files: who owns the live files and where they go, sets of several files, and what is refused."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from failover_oneshot.accounts import registry
from failover_oneshot.accounts.registry import MethodError
from failover_oneshot.config.model import Account, Config, Method, Swap
from failover_oneshot.state.model import State
from tests.support.account_methods import FilesSandbox, instead, load, write


@pytest.fixture
def sandbox(tmp_path: Path) -> FilesSandbox:
    return FilesSandbox(tmp_path)


def test_refreshed_files_go_to_their_store_and_the_old_ones_stay(sandbox: FilesSandbox) -> None:
    assert "saved to main's store" in sandbox.method().save_back(sandbox.main, {}).text
    assert sandbox.generation(sandbox.stored("main") / "auth.json") == ("main", 2)
    assert sandbox.generation(sandbox.stored("main") / "auth.json.prev") == ("main", 1)
    assert "already" in sandbox.method().save_back(sandbox.main, {}).text
    assert sandbox.generation(sandbox.stored("main") / "auth.json.prev") == ("main", 1)


def test_another_accounts_files_never_reach_the_outgoing_store(sandbox: FilesSandbox) -> None:
    sandbox.put(sandbox.home / "live", "backup", 1)
    assert sandbox.method().live_account() == "backup"
    sandbox.method().save_back(sandbox.main, {})
    assert sandbox.generation(sandbox.stored("main") / "auth.json") == ("main", 1)


@pytest.mark.parametrize(("says", "store"), [("acc-main", "main"), ("acc-backup", "backup"), ("acc-stranger", None)])
def test_files_go_to_the_account_whose_identity_they_name(says: str, store: str | None, sandbox: FilesSandbox) -> None:
    for name in ("main", "backup"):
        token = {"account_id": f"acc-{name}", "refresh_token": f"fake-{name}-refresh-1"}
        write(sandbox.stored(name) / "auth.json", {"tokens": token})
    write(sandbox.home / "live" / "auth.json", {"tokens": {"account_id": says, "refresh_token": "fake-new-refresh-9"}})
    assert sandbox.method().live_account() == store
    told = sandbox.method().save_back(sandbox.main, {})
    found = [p for p in sandbox.home.rglob("*auth.json") if "fake-new-refresh-9" in p.read_text()]
    assert [p.parent for p in found if p.parent.name != "live"] == [
        sandbox.stored(store) if store else sandbox.unclaimed
    ]
    assert bool(told.unclaimed) is (store is None)


def test_files_in_the_lineage_are_recognized(sandbox: FilesSandbox) -> None:
    sandbox.method().save_back(sandbox.main, {})
    lineage = sandbox.method().lineage()
    assert set(lineage.values()) == {"main"}
    assert sandbox.method(lineage).lineage() == lineage
    shutil.rmtree(sandbox.stored("main"))
    assert sandbox.method().live_account() is None
    assert sandbox.method(lineage).live_account() == "main"


def test_unknown_files_without_an_active_account_are_unclaimed(sandbox: FilesSandbox) -> None:
    assert sandbox.method().save_back(None, {}).unclaimed
    assert len(list(sandbox.unclaimed.iterdir())) == 2


def test_older_or_blank_credentials_overwrite_nothing(sandbox: FilesSandbox) -> None:
    write(sandbox.stored("main") / "auth.json", {"expiry_date": 9, "refresh_token": "fake-main-refresh-9"})
    write(sandbox.home / "live" / "auth.json", {"expiry_date": 5, "refresh_token": "fake-main-refresh-5"})
    assert "older" in sandbox.method().save_back(sandbox.main, {}).text
    write(sandbox.home / "live" / "auth.json", {"expiry_date": 99, "refresh_token": ""})
    sandbox.method().save_back(sandbox.main, {})
    assert load(sandbox.stored("main") / "auth.json")["expiry_date"] == 9


def test_missing_live_files_are_created_and_links_stay(sandbox: FilesSandbox) -> None:
    (sandbox.home / "live" / "who").unlink()
    real = sandbox.home / "real.json"
    (sandbox.home / "live" / "auth.json").rename(real)
    (sandbox.home / "live" / "auth.json").symlink_to(real)
    sandbox.run(sandbox.main, sandbox.backup)
    sandbox.assert_live("backup")
    sandbox.assert_tidy()
    assert (sandbox.home / "live" / "auth.json").is_symlink()


def test_a_swap_without_any_live_file_installs_them(sandbox: FilesSandbox) -> None:
    shutil.rmtree(sandbox.home / "live")
    (sandbox.home / "live").mkdir()
    assert "nothing to save" in sandbox.method().save_back(sandbox.main, {}).text
    sandbox.run(sandbox.main, sandbox.backup)
    assert sandbox.generation(sandbox.home / "live" / "auth.json") == ("backup", 1)


def test_a_half_written_live_file_is_left_unchanged(sandbox: FilesSandbox) -> None:
    (sandbox.home / "live" / "auth.json").write_bytes(b'{"tokens": {"refr')
    before = sandbox.live()
    with pytest.raises(MethodError, match="not JSON"):
        sandbox.run(sandbox.main, sandbox.backup)
    assert sandbox.live() == before
    assert sandbox.generation(sandbox.stored("main") / "auth.json") == ("main", 1)


UNUSABLE: list[tuple[str, Callable[[Path], object]]] = [
    ("does not exist", shutil.rmtree),
    ("not a folder", lambda store: instead(store, lambda path: write(path, 1))),
    ("who does not exist", lambda store: (store / "who").unlink()),
    ("is empty", lambda store: (store / "auth.json").write_bytes(b"")),
    ("not JSON", lambda store: (store / "auth.json").write_bytes(b'{"tokens": {"fake-')),
    ("blank", lambda store: (store / "auth.json").write_bytes(b'{"tokens": {"refresh_token": ""}}')),
    ("not a regular file", lambda store: instead(store / "who", Path.mkdir)),
    ("same credentials", lambda store: shutil.copy(store.parent / "main" / "auth.json", store / "auth.json")),
]


@pytest.mark.parametrize(("why", "spoil"), UNUSABLE)
def test_an_unusable_account_is_refused_with_the_reason(
    why: str, spoil: Callable[[Path], object], sandbox: FilesSandbox
) -> None:
    spoil(sandbox.stored("backup"))
    before = sandbox.live()
    reason = sandbox.method().check(sandbox.backup)
    assert reason
    assert why in reason
    assert "fake-" not in reason
    if "same" not in why:  # save_back changes the outgoing account's store, so the two differ then
        with pytest.raises(MethodError, match=why):
            sandbox.run(sandbox.main, sandbox.backup)
        assert sandbox.live() == before
        sandbox.assert_tidy()


@pytest.mark.parametrize(
    ("files", "why"), [((), "is empty"), (("/a/auth.json", "/b/auth.json"), "files named 'auth.json'")]
)
def test_impossible_swap_files_are_a_problem(files: tuple[str, ...], why: str, tmp_path: Path) -> None:
    config = Config(swap=Swap(method=Method.FILES, files=files))
    assert why in str(registry.method(config, tmp_path, State()).check(Account(name="a", store=str(tmp_path))))


def test_a_file_that_all_accounts_share_decides_nothing(sandbox: FilesSandbox) -> None:
    for folder in (sandbox.stored("main"), sandbox.stored("backup"), sandbox.home / "live"):
        (folder / "who").write_bytes(json.dumps("both").encode())
    sandbox.method().save_back(sandbox.main, {})
    assert sandbox.generation(sandbox.stored("main") / "auth.json") == ("main", 2)


@pytest.mark.parametrize(
    "main", [{"OPENAI_API_KEY": "sk-fake-main", "tokens": None}, {"tokens": {"refresh_token": "fake"}}]
)
def test_an_account_with_an_api_key_is_swapped_to_and_back(main: dict[str, object], sandbox: FilesSandbox) -> None:
    key = {"OPENAI_API_KEY": "sk-fake-backup", "tokens": None}
    for folder, content in (
        (sandbox.stored("main"), main),
        (sandbox.stored("backup"), key),
        (sandbox.home / "live", main),
    ):
        write(folder / "auth.json", content)
    assert sandbox.method().check(sandbox.backup) is None
    sandbox.run(sandbox.main, sandbox.backup)
    assert load(sandbox.home / "live" / "auth.json") == key
    assert sandbox.method().live_account() == "backup"
    sandbox.run(sandbox.backup, sandbox.main)
    assert load(sandbox.home / "live" / "auth.json") == main
    assert sandbox.method().live_account() == "main"
    assert load(sandbox.stored("backup") / "auth.json") == key
    assert not sandbox.unclaimed.exists()


@pytest.mark.parametrize("expires", [1795815088, "1795815088000", "2026-11-27T21:31:28Z"])
def test_refreshed_files_are_newer_in_each_unit_of_time(expires: object, sandbox: FilesSandbox) -> None:
    """The program writes another form since its update."""
    old, new = ({"refresh_token": f"fake-main-refresh-{number}", "account_id": "acc-main"} for number in (1, 2))
    write(sandbox.stored("main") / "auth.json", {"tokens": {**old, "expiresAt": 1795815087000}})
    write(sandbox.home / "live" / "auth.json", {"tokens": {**new, "expiresAt": expires}})
    assert "saved to main's store" in sandbox.method().save_back(sandbox.main, {}).text
    assert sandbox.generation(sandbox.stored("main") / "auth.json") == ("main", 2)
