"""No login is lost: layouts, contents and events that real installations have, against the real program."""

import json
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from failover_oneshot.ctl.demo.sandbox import credentials, identity, refresh_token
from tests.support.operator import ctl
from tests.support.sandbox import POOL, Sandbox, hit_screen


def stored(sandbox: Sandbox, account: str) -> str:
    """The refresh token in a store."""
    value = json.loads((sandbox.stored(account) / ".credentials.json").read_bytes())
    return str(value["claudeAiOauth"]["refreshToken"])


def in_stores(sandbox: Sandbox) -> list[str]:
    """The refresh tokens in the stores of main and backup."""
    return [stored(sandbox, name) for name in ("main", "backup")]


def holders(sandbox: Sandbox, token: str) -> list[Path]:
    """The files below the sandbox that hold a token."""
    found = (path for path in sandbox.folder.rglob("*") if path.is_file() and not path.is_symlink())
    return [path for path in found if f'"{token}"'.encode() in path.read_bytes()]


def refresh(sandbox: Sandbox, account: str, generation: int, **block: Any) -> None:
    """Write refreshed live credentials, as an agent does; ``block`` changes `claudeAiOauth`."""
    value = json.loads(sandbox.live_credentials.read_bytes())
    value.update(credentials(account, generation))
    value["claudeAiOauth"].update(block)
    sandbox.write(sandbox.live_credentials, value)


def revert(sandbox: Sandbox, account: str) -> None:
    """Write an old copy of the settings back, as a client does that lost the race for their lock."""
    value = json.loads(sandbox.settings.read_bytes())
    sandbox.write(sandbox.settings, {**value, "oauthAccount": identity(account)})


def live_identity(sandbox: Sandbox) -> Any:
    return json.loads(sandbox.settings.read_bytes())["oauthAccount"]


def later(sandbox: Sandbox, **delta: float) -> None:
    """Let the last swap be that long ago."""
    at = f"{datetime.now(UTC) - timedelta(**delta):%Y-%m-%dT%H:%M:%SZ}"
    sandbox.set_state(last_swap={**sandbox.state()["last_swap"], "at": at})


def show(sandbox: Sandbox, screen: str) -> None:
    """New sessions of the pool with that screen."""
    for name in POOL:
        sandbox.server.tmux("kill-session", "-t", f"={name}")
        sandbox.server.show(name, screen)


def block_again(sandbox: Sandbox, hours: int = 3) -> None:
    """New hits in the pool, of the account that is active now."""
    show(sandbox, hit_screen(hours=hours).replace("❯ ", f"❯ again, {hours}: ", 1))


def test_an_identity_that_an_agent_wrote_back_is_corrected(blocked: Sandbox) -> None:
    assert blocked.check()["outcome"] == "swapped"
    revert(blocked, "main")
    done = blocked.run()
    assert done.returncode == 0
    assert f"{blocked.settings} did not name backup beside its credentials; corrected" in done.stderr
    assert live_identity(blocked) == identity("backup")
    assert "corrected" not in blocked.run().stderr


def test_an_identity_written_back_long_after_the_swap_is_left_alone(blocked: Sandbox) -> None:
    assert blocked.check()["outcome"] == "swapped"
    blocked.check()
    later(blocked, minutes=11)
    show(blocked, "❯ go on\n\n● Done.\n")
    revert(blocked, "main")
    blocked.check()
    assert live_identity(blocked) == identity("main")


def test_an_identity_is_corrected_beside_tokens_refreshed_since_the_swap(blocked: Sandbox) -> None:
    """The agents refresh right after their restart, and one writes the old identity back, both before any check."""
    assert blocked.check()["outcome"] == "swapped"
    refresh(blocked, "backup", 7)
    revert(blocked, "main")
    said = blocked.run().stderr
    assert ("corrected" in said, "in doubt" in said) == (True, False)
    assert live_identity(blocked) == identity("backup")
    later(blocked, minutes=11)
    block_again(blocked)
    blocked.set_state(accounts={})
    assert blocked.check()["swap"] == {"from": "backup", "to": "main"}
    assert in_stores(blocked) == [refresh_token("main", 2), refresh_token("backup", 7)]


def test_a_log_in_by_hand_after_the_swap_is_not_taken_for_a_refresh(blocked: Sandbox) -> None:
    """It has another device token. The check says once that the owner is in doubt, and corrects nothing."""
    assert blocked.check()["outcome"] == "swapped"
    blocked.log_in("main", 7)
    doubt = "the owner of the live credentials is in doubt: the identity names main, but the last swap installed backup"
    assert doubt in blocked.run().stderr
    assert live_identity(blocked) == identity("main")
    assert doubt not in blocked.run().stderr
    assert doubt in " ".join(ctl(blocked, "status").stdout.split())


def test_refreshed_tokens_beside_an_old_identity_reach_no_other_store(blocked: Sandbox) -> None:
    """Backup is live and refreshed; the settings name main again. The next swap must not take the tokens for main's."""
    assert blocked.check()["outcome"] == "swapped"
    refresh(blocked, "backup", 7)
    revert(blocked, "main")
    later(blocked, minutes=11)
    block_again(blocked)
    blocked.set_state(accounts={})
    report = blocked.check()
    assert (report["outcome"], report["swap"]) == ("swapped", {"from": "backup", "to": "main"})
    assert (stored(blocked, "main"), stored(blocked, "backup")) == (
        refresh_token("main", 2),
        refresh_token("backup", 1),
    )
    [kept] = holders(blocked, refresh_token("backup", 7))
    assert kept.parent == blocked.state_file.parent / "unclaimed"
    [doubt] = blocked.state()["unclaimed"].values()
    assert doubt["account"] == "backup"


def test_an_account_in_doubt_is_no_candidate(blocked: Sandbox) -> None:
    test_refreshed_tokens_beside_an_old_identity_reach_no_other_store(blocked)
    later(blocked, minutes=11)
    blocked.set_state(accounts={})
    block_again(blocked, hours=4)
    report = blocked.check()
    assert report["outcome"] == "waiting"
    [key] = blocked.state()["unclaimed"]
    assert f"failoverctl accounts unclaimed assign {key} backup" in report["reason"]


def test_tokens_that_name_their_account_are_its_own(blocked: Sandbox) -> None:
    """Claude Code writes the account into the tokens' block: it outweighs the identity beside them."""
    assert blocked.check()["outcome"] == "swapped"
    refresh(blocked, "backup", 7, accountUuid=identity("backup")["accountUuid"])
    revert(blocked, "main")
    later(blocked, minutes=11)
    block_again(blocked)
    blocked.set_state(accounts={})
    assert blocked.check()["swap"] == {"from": "backup", "to": "main"}
    assert (stored(blocked, "main"), stored(blocked, "backup")) == (
        refresh_token("main", 2),
        refresh_token("backup", 7),
    )
    assert not (blocked.state_file.parent / "unclaimed").exists()


def test_each_login_that_is_replaced_is_kept_as_a_generation(blocked: Sandbox) -> None:
    assert blocked.check()["outcome"] == "swapped"
    folder = blocked.state_file.parent / "generations" / "main"
    tokens = [json.loads(p.read_bytes())["claudeAiOauth"]["refreshToken"] for p in folder.glob("*.credentials.json")]
    assert sorted(tokens) == [refresh_token("main", 1), refresh_token("main", 2)]
    assert {p.stat().st_mode & 0o777 for p in folder.iterdir()} == {0o600}
    assert {p.stat().st_mode & 0o777 for p in (folder, folder.parent)} == {0o700}


@contextmanager
def half_written(path: Path, completed_after: float) -> Iterator[None]:
    """Truncate a file within the block, and complete it after that many seconds."""
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    timer = threading.Timer(completed_after, path.write_bytes, (whole,))
    timer.start()
    try:
        yield
    finally:
        timer.join()
        path.write_bytes(whole)


@pytest.mark.parametrize("name", [".claude.json", ".claude/.credentials.json"])
def test_a_file_that_is_being_written_is_read_again(blocked: Sandbox, name: str) -> None:
    with half_written(blocked.home / name, completed_after=1):
        assert blocked.check()["outcome"] == "swapped"


def test_a_file_that_stays_half_written_costs_no_cooldown(blocked: Sandbox) -> None:
    whole = blocked.settings.read_bytes()
    blocked.settings.write_bytes(whole[: len(whole) // 2])
    for _ in range(2):
        report = blocked.check(code=1)
        assert report["outcome"] == "failed"
        assert f"{blocked.settings} is not a JSON object" in report["reason"]
    assert blocked.state()["counters"] == {"failed": 1}
    blocked.settings.write_bytes(whole)
    assert blocked.check()["outcome"] == "swapped"


def test_refreshed_tokens_beside_a_half_written_file_are_noted_by_the_next_check(sandbox: Sandbox) -> None:
    """Its owner could not be determined, so the check after it looks again although the tokens are the same."""
    sandbox.check()
    refresh(sandbox, "main", 7)
    whole = sandbox.settings.read_bytes()
    sandbox.settings.write_bytes(whole[: len(whole) // 2])
    sandbox.check()
    sandbox.settings.write_bytes(whole)
    before = sandbox.state()["lineage"]
    sandbox.check()
    assert sandbox.state()["lineage"] != before


BIG = 12 * 1024 * 1024


def with_mark(data: bytes) -> bytes:
    return b"\xef\xbb\xbf" + data


def with_duplicates(data: bytes) -> bytes:
    return data.replace(b"{", b'{"oauthAccount": {"emailAddress": "nobody@example.invalid"}, "claudeAiOauth": 1, ', 1)


def with_wrong_bytes(data: bytes) -> bytes:
    return data.replace(b"{", b'{"note": "\xff\xfe", ', 1)


def with_much(data: bytes) -> bytes:
    return data.replace(b"{", b'{"tips": "' + b"x" * BIG + b'", ', 1)


@pytest.mark.parametrize("change", [with_mark, with_duplicates, with_wrong_bytes, with_much])
@pytest.mark.parametrize("name", [".claude.json", ".claude/.credentials.json"])
def test_files_are_read_as_tolerantly_as_claude_code_reads_them(
    blocked: Sandbox, name: str, change: Callable[[bytes], bytes]
) -> None:
    path = blocked.home / name
    path.write_bytes(change(path.read_bytes()))
    before = path.read_bytes()
    assert blocked.check()["outcome"] == "swapped"
    assert stored(blocked, "main") == refresh_token("main", 2)
    after = path.read_bytes()
    assert (b"backup" in after, b"main" in after) == (True, False)
    ours = len(change(b"{")) - 1
    assert after[:ours] == before[:ours]


def test_an_empty_credentials_file_is_no_login(blocked: Sandbox) -> None:
    blocked.live_credentials.write_bytes(b"")
    blocked.set_state(active_account="main")
    assert blocked.check()["outcome"] == "swapped"
    assert blocked.live()[0] == "fake-backup-1"
    assert stored(blocked, "main") == refresh_token("main", 1)


@pytest.mark.parametrize("name", [".claude.json", ".claude/.credentials.json"])
def test_a_mounted_file_is_refused_by_name_and_leaves_no_copy(
    blocked: Sandbox, name: str, namespace: list[str]
) -> None:
    path = blocked.home / name
    shutil.copy2(path, source := blocked.folder / "mounted")
    blocked.save_config()
    before = sorted(blocked.claude.iterdir())
    script = 'mount --bind "$0" "$1" && shift && exec "$@"'
    argv = [*namespace, "sh", "-c", script, str(source), str(path), *blocked.argv("--json")]
    for _ in range(2):
        done = blocked.execute(argv)
        assert done.returncode == 1, done.stderr
        assert f"{path} is a mount of its own" in json.loads(done.stdout)["reason"]
    assert sorted(blocked.claude.iterdir()) == before
    assert stored(blocked, "main") == refresh_token("main", 1)
    assert blocked.check()["outcome"] == "swapped"


@pytest.mark.parametrize("expires", [None, 1795815088, "1795815088000", "soon"])
def test_an_expiry_of_any_form_loses_no_newer_login(blocked: Sandbox, expires: object) -> None:
    live = json.loads(blocked.live_credentials.read_bytes())
    live["claudeAiOauth"]["expiresAt"] = expires
    if expires is None:
        del live["claudeAiOauth"]["expiresAt"]
    blocked.write(blocked.live_credentials, live)
    older = credentials("main", 1)
    older["claudeAiOauth"]["expiresAt"] = 1_795_815_087_000
    blocked.write(blocked.stored("main") / ".credentials.json", older)
    assert blocked.check()["outcome"] == "swapped"
    assert stored(blocked, "main") == refresh_token("main", 2)
    assert not (blocked.state_file.parent / "unclaimed").exists()


def test_an_account_whose_login_was_given_up_is_no_candidate(blocked: Sandbox) -> None:
    """Claude Code blanks tokens that no longer work. Those in the store are older still."""
    blocked.set_state(active_account="main")
    value = json.loads(blocked.live_credentials.read_bytes())
    value["claudeAiOauth"].update(accessToken="", refreshToken="", expiresAt=0)
    blocked.write(blocked.live_credentials, value)
    done = blocked.run()
    assert "main: the agent has blanked the live credentials" in done.stderr
    assert blocked.state()["last_swap"]["to"] == "backup"
    later(blocked, minutes=11)
    block_again(blocked)
    memory = blocked.state()["accounts"]
    blocked.set_state(accounts={**memory, "main": {**memory["main"], "exhausted_until": None}})
    report = blocked.check()
    assert report["outcome"] == "waiting"
    assert "the agent has given up its credentials" in report["reason"]
    blocked.write(blocked.stored("main") / ".credentials.json", credentials("main", 5))
    assert blocked.check()["swap"] == {"from": "backup", "to": "main"}


def test_blank_credentials_are_given_up_by_the_account_that_they_name(blocked: Sandbox) -> None:
    """Somebody logged in as main after a swap to backup, and its credentials were blanked before any check."""
    assert blocked.check()["outcome"] == "swapped"
    blocked.log_in("main", 7)
    value = json.loads(blocked.live_credentials.read_bytes())
    value["claudeAiOauth"].update(accessToken="", refreshToken="", accountUuid=identity("main")["accountUuid"])
    blocked.write(blocked.live_credentials, value)
    assert "main: the agent has blanked the live credentials" in blocked.run().stderr
    memory = blocked.state()["accounts"]
    assert (memory["main"]["unusable"] is None, memory["backup"]["unusable"] is None) == (False, True)


@pytest.mark.parametrize("moved", [False, True])
def test_a_renamed_account_keeps_its_exhaustion(blocked: Sandbox, moved: bool) -> None:
    assert blocked.check()["outcome"] == "swapped"
    until = blocked.state()["accounts"]["main"]["exhausted_until"]
    if moved:
        blocked.stored("main").rename(blocked.stored("work"))
    kept = sorted(p.name for p in (blocked.state_file.parent / "generations/main").iterdir())
    blocked.config["accounts"][0] = {"name": "work", "store": str(blocked.stored("work" if moved else "main"))}
    blocked.save_config()
    later(blocked, minutes=11)
    block_again(blocked)
    assert blocked.check()["outcome"] == "waiting"
    assert blocked.state()["accounts"]["work"]["exhausted_until"] == until
    assert sorted(p.name for p in (blocked.state_file.parent / "generations/work").iterdir()) == kept


def test_a_setup_token_without_a_refresh_token_is_swapped_out_and_back(blocked: Sandbox) -> None:
    setup = {"claudeAiOauth": {"accessToken": "fake-main-setup", "scopes": ["user:inference"]}}
    blocked.write(blocked.live_credentials, setup)
    assert blocked.check()["outcome"] == "swapped"
    value = json.loads((blocked.stored("main") / ".credentials.json").read_bytes())
    assert value["claudeAiOauth"] == setup["claudeAiOauth"]
    later(blocked, minutes=11)
    block_again(blocked)
    blocked.set_state(accounts={})
    assert blocked.check()["swap"] == {"from": "backup", "to": "main"}
    assert json.loads(blocked.live_credentials.read_bytes())["claudeAiOauth"] == setup["claudeAiOauth"]


def test_one_person_in_two_organizations_has_two_accounts(blocked: Sandbox) -> None:
    """The store of backup was captured by a client that did not name the organization."""
    person = {"accountUuid": identity("main")["accountUuid"], "emailAddress": "person@example.invalid"}
    work = {**person, "organizationUuid": "fake-org"}
    blocked.write(blocked.stored("main") / "oauthAccount.json", work)
    blocked.write(blocked.stored("backup") / "oauthAccount.json", person)
    value = json.loads(blocked.settings.read_bytes())
    blocked.write(blocked.settings, {**value, "oauthAccount": work})
    assert blocked.check()["swap"] == {"from": "main", "to": "backup"}
    assert live_identity(blocked) == person
    assert (stored(blocked, "main"), stored(blocked, "backup")) == (
        refresh_token("main", 2),
        refresh_token("backup", 1),
    )


@pytest.mark.parametrize("age", [-3600.0, 3600.0])
def test_a_strangers_lock_does_not_stop_the_swap_for_ever(blocked: Sandbox, age: float) -> None:
    lock = blocked.claude / ".oauth_refresh.lock"
    lock.mkdir()
    (lock / "pid").write_text("1\n")
    os.utime(lock, times=(time.time() - age,) * 2)
    assert blocked.check()["outcome"] == "swapped"
    assert not lock.exists()


@pytest.mark.parametrize("folder", ["unclaimed", "generations/main"])
def test_a_live_file_that_is_also_a_kept_copy_is_refused(blocked: Sandbox, folder: str) -> None:
    copy = blocked.state_file.parent / folder / "20261128T000000Z-0123456789abcdef.credentials.json"
    copy.parent.mkdir(mode=0o700, parents=True)
    copy.hardlink_to(blocked.live_credentials)
    before = blocked.live_credentials.read_bytes()
    report = blocked.check(code=1)
    assert f"{copy} is a hard link" in report["reason"] or f"hard link to {copy}" in report["reason"]
    assert blocked.live_credentials.read_bytes() == before


def test_a_swap_never_runs_without_a_copy_of_what_it_replaces(blocked: Sandbox) -> None:
    """The folder of the generations cannot be written: the swap is refused, and both logins are where they were."""
    folder = blocked.state_file.parent / "generations"
    folder.parent.mkdir(mode=0o700)
    folder.write_text("in the way")
    before = blocked.live()
    assert blocked.check(code=1)["outcome"] == "failed"
    assert blocked.live() == before
    assert stored(blocked, "main") == refresh_token("main", 1)
    subprocess.run(["rm", str(folder)], check=True)
    assert blocked.check()["outcome"] == "swapped"
