"""Method files: whose the live files are and where they go; sets of several; what is refused."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from failover_oneshot.accounts import registry
from failover_oneshot.accounts.registry import MethodError
from failover_oneshot.config.model import Account, Config, Method, Swap
from tests.support.account_methods import FilesLab, instead, load, write


@pytest.fixture
def lab(tmp_path: Path) -> FilesLab:
    return FilesLab(tmp_path)


def test_the_refreshed_files_go_to_their_store_and_those_before_stay(lab: FilesLab) -> None:
    assert "saved to the store of main" in lab.method().save_back(lab.main, {})
    assert lab.generation(lab.stored("main") / "auth.json") == ("main", 2)
    assert lab.generation(lab.stored("main") / "auth.json.prev") == ("main", 1)
    assert "already" in lab.method().save_back(lab.main, {})
    assert lab.generation(lab.stored("main") / "auth.json.prev") == ("main", 1)


def test_another_accounts_files_put_there_by_hand_do_not_reach_the_outgoing_store(lab: FilesLab) -> None:
    lab.put(lab.home / "live", "backup", 1)
    assert lab.method().live_account() == "backup"
    lab.method().save_back(lab.main, {})
    assert lab.generation(lab.stored("main") / "auth.json") == ("main", 1)


@pytest.mark.parametrize(("says", "store"), [("acc-main", "main"), ("acc-backup", "backup"), ("acc-stranger", None)])
def test_by_the_identity_that_a_file_names(says: str, store: str | None, lab: FilesLab) -> None:
    for name in ("main", "backup"):
        token = {"account_id": f"acc-{name}", "refresh_token": f"fake-rt-{name}-1"}
        write(lab.stored(name) / "auth.json", {"tokens": token})
    write(lab.home / "live" / "auth.json", {"tokens": {"account_id": says, "refresh_token": "fake-rt-new-9"}})
    assert lab.method().live_account() == store
    told = lab.method().save_back(lab.main, {})
    found = [p for p in lab.home.rglob("*auth.json") if "fake-rt-new-9" in p.read_text()]
    assert [p.parent for p in found if p.parent.name != "live"] == [lab.stored(store) if store else lab.unclaimed]
    assert ("set aside" in told) is (store is None)


def test_by_the_lineage(lab: FilesLab) -> None:
    lab.method().save_back(lab.main, {})
    lineage = lab.method().lineage()
    assert set(lineage.values()) == {"main"}
    assert lab.method(lineage).lineage() == lineage
    shutil.rmtree(lab.stored("main"))
    assert lab.method().live_account() is None
    assert lab.method(lineage).live_account() == "main"


def test_nothing_is_known_without_an_account_that_ought_to_be_live(lab: FilesLab) -> None:
    assert "set aside" in lab.method().save_back(None, {})
    assert len(list(lab.unclaimed.iterdir())) == 2


def test_an_older_or_blank_login_overwrites_nothing(lab: FilesLab) -> None:
    write(lab.stored("main") / "auth.json", {"expiry_date": 9, "refresh_token": "fake-rt-main-9"})
    write(lab.home / "live" / "auth.json", {"expiry_date": 5, "refresh_token": "fake-rt-main-5"})
    assert "older" in lab.method().save_back(lab.main, {})
    write(lab.home / "live" / "auth.json", {"expiry_date": 99, "refresh_token": ""})
    lab.method().save_back(lab.main, {})
    assert load(lab.stored("main") / "auth.json")["expiry_date"] == 9


def test_live_files_that_are_missing_are_made_and_links_stay(lab: FilesLab) -> None:
    (lab.home / "live" / "who").unlink()
    real = lab.home / "real.json"
    (lab.home / "live" / "auth.json").rename(real)
    (lab.home / "live" / "auth.json").symlink_to(real)
    lab.run(lab.main, lab.backup)
    lab.assert_live("backup")
    lab.assert_tidy()
    assert (lab.home / "live" / "auth.json").is_symlink()


def test_nothing_live_at_all(lab: FilesLab) -> None:
    shutil.rmtree(lab.home / "live")
    (lab.home / "live").mkdir()
    assert "nothing to save" in lab.method().save_back(lab.main, {})
    lab.run(lab.main, lab.backup)
    assert lab.generation(lab.home / "live" / "auth.json") == ("backup", 1)


def test_a_half_written_live_file_is_left_alone(lab: FilesLab) -> None:
    (lab.home / "live" / "auth.json").write_bytes(b'{"tokens": {"refr')
    before = lab.live()
    with pytest.raises(MethodError, match="not JSON"):
        lab.run(lab.main, lab.backup)
    assert lab.live() == before
    assert lab.generation(lab.stored("main") / "auth.json") == ("main", 1)


UNUSABLE: list[tuple[str, Callable[[Path], object]]] = [
    ("does not exist", shutil.rmtree),
    ("not a folder", lambda store: instead(store, lambda path: write(path, 1))),
    ("who does not exist", lambda store: (store / "who").unlink()),
    ("is empty", lambda store: (store / "auth.json").write_bytes(b"")),
    ("not JSON", lambda store: (store / "auth.json").write_bytes(b'{"tokens": {"fake-')),
    ("blank", lambda store: (store / "auth.json").write_bytes(b'{"tokens": {"refresh_token": ""}}')),
    ("not a regular file", lambda store: instead(store / "who", Path.mkdir)),
    ("same login", lambda store: shutil.copy(store.parent / "main" / "auth.json", store / "auth.json")),
]


@pytest.mark.parametrize(("why", "spoil"), UNUSABLE)
def test_what_can_not_be_swapped_to(why: str, spoil: Callable[[Path], object], lab: FilesLab) -> None:
    spoil(lab.stored("backup"))
    before = lab.live()
    reason = lab.method().check(lab.backup)
    assert reason
    assert why in reason
    assert "fake-" not in reason
    if "same" not in why:  # (the outgoing account's is another one as soon as it was saved)
        with pytest.raises(MethodError, match=why):
            lab.run(lab.main, lab.backup)
        assert lab.live() == before
        lab.assert_tidy()


@pytest.mark.parametrize(("files", "why"), [((), "names no file"), (("/a/auth.json", "/b/auth.json"), "same name")])
def test_a_config_that_can_not_work(files: tuple[str, ...], why: str, tmp_path: Path) -> None:
    config = Config(swap=Swap(method=Method.FILES, files=files))
    assert why in str(registry.method(config, tmp_path).check(Account(name="a", store=str(tmp_path))))


def test_a_file_that_all_accounts_share_tells_nothing(lab: FilesLab) -> None:
    for folder in (lab.stored("main"), lab.stored("backup"), lab.home / "live"):
        (folder / "who").write_bytes(json.dumps("both").encode())
    lab.method().save_back(lab.main, {})
    assert lab.generation(lab.stored("main") / "auth.json") == ("main", 2)
