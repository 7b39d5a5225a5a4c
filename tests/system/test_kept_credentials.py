"""Generations and unclaimed credentials as an operator sees, restores and assigns them."""

import fcntl
import json
import os
import shlex
import time
from pathlib import Path
from typing import Any

import pytest

from failover_oneshot.accounts import kept
from failover_oneshot.accounts.kept import Entry
from failover_oneshot.ctl.demo.sandbox import CTL, MARK, credentials, identity
from failover_oneshot.ctl.demo.server import Run
from tests.support.operator import ctl, environ, facts, stamp
from tests.support.sandbox import Sandbox

DAY = 24 * 3600


def run(sandbox: Sandbox, *arguments: str, code: int = 0) -> Run:
    """Run `failoverctl accounts …`; it prints no token."""
    done = ctl(sandbox, "accounts", *arguments)
    assert done.returncode == code, done.stdout + done.stderr
    assert MARK not in done.stdout + done.stderr
    return done


def text(done: Run) -> str:
    """What was printed, as one line."""
    return " ".join(done.stdout.split())


def generations(sandbox: Sandbox, name: str) -> tuple[Entry, ...]:
    return kept.entries(kept.generations(sandbox.state_file.parent, name))


def stored(sandbox: Sandbox, name: str) -> str:
    """The refresh token in the account's store."""
    return refresh_token((sandbox.stored(name) / ".credentials.json").read_bytes())


def refresh_token(data: bytes) -> str:
    return str(json.loads(data)["claudeAiOauth"]["refreshToken"])


def refreshed(sandbox: Sandbox, name: str, *numbers: int) -> None:
    """Save later credentials of the account, one after the other; each replaces the one before in the store."""
    for number in numbers:
        sandbox.log_in(name, generation=number)
        run(sandbox, "add", name)


def unclaimed(sandbox: Sandbox, values: dict[str, Any], who: dict[str, Any] | None, suspect: str | None = None) -> str:
    """Put credentials into `unclaimed/`, as a swap does that cannot know their owner; the entry's id."""
    files = {".credentials.json": json.dumps(values).encode()}
    if who:
        files["oauthAccount.json"] = json.dumps(who).encode()
    made = kept.keep(sandbox.state_file.parent / "unclaimed", files)
    doubt = {made: {"at": stamp(hours=-1), "reason": "the token is unknown", "account": suspect}}
    sandbox.set_state(active_account="main", unclaimed={**sandbox.state().get("unclaimed", {}), **doubt})
    return made


# -- generations -------------------------------------------------------------------------------------------------------


def test_each_generation_is_shown_without_its_token(sandbox: Sandbox) -> None:
    refreshed(sandbox, "main", 3, 4)
    ids = [entry.id for entry in generations(sandbox, "main")]
    assert len(ids) == 2
    main, backup = facts(sandbox, "accounts")["accounts"]
    assert [row["generation"] for row in main["generations"]] == ids
    assert {row["identity"] for row in main["generations"]} == {"main@example.invalid"}
    assert set(main["generations"][0]) == {"generation", "at", "identity", "expires_at"}
    assert backup["generations"] == []
    assert "2, newest" in text(run(sandbox))
    said = text(run(sandbox, "check"))
    assert all(f"{key}: main@example.invalid, replaced " in said for key in ids)


def test_the_newest_generation_that_differs_is_restored(sandbox: Sandbox) -> None:
    """The store's content becomes a generation first; a second restore brings it back."""
    refreshed(sandbox, "main", 3, 4)
    sandbox.log_in("backup")
    done = run(sandbox, "restore", "main")
    assert stored(sandbox, "main") == "fake-main-refresh-3"
    assert "run `failoverctl swap --to main` to use them" in done.stdout
    tokens = {refresh_token(entry.contents()["credentials.json"]) for entry in generations(sandbox, "main")}
    assert tokens == {"fake-main-refresh-1", "fake-main-refresh-3", "fake-main-refresh-4"}
    run(sandbox, "restore", "main")
    assert stored(sandbox, "main") == "fake-main-refresh-4"


def test_a_generation_is_restored_by_its_id_and_then_live(sandbox: Sandbox) -> None:
    refreshed(sandbox, "main", 3, 4)
    refreshed(sandbox, "backup", 2)
    oldest = next(
        e.id for e in generations(sandbox, "main") if refresh_token(e.contents()["credentials.json"]).endswith("1")
    )
    done = facts(sandbox, "accounts", "restore", "main", oldest)
    assert done == {"version": 1, "account": "main", "generation": oldest, "next": "failoverctl swap --to main"}
    assert ctl(sandbox, *done["next"].split()[1:]).returncode == 0
    assert sandbox.live()[0] == "fake-main-1"


def test_an_unknown_generation_is_refused_with_the_known_ones(sandbox: Sandbox) -> None:
    assert "no generation of main is kept" in run(sandbox, "restore", "main", code=1).stderr
    refreshed(sandbox, "main", 3, 4)
    sandbox.log_in("backup")
    before = stored(sandbox, "main")
    done = run(sandbox, "restore", "main", "19990101", code=2)
    assert all(entry.id in done.stderr for entry in generations(sandbox, "main"))
    assert "more than one generation" in run(sandbox, "restore", "main", "20", code=2).stderr
    assert stored(sandbox, "main") == before


def generation(sandbox: Sandbox, values: dict[str, Any], who: dict[str, Any] | None = None) -> str:
    files = {"credentials.json": json.dumps(values).encode()}
    if who:
        files["oauthAccount.json"] = json.dumps(who).encode()
    return kept.keep(kept.generations(sandbox.state_file.parent, "main"), files)


def test_credentials_without_a_refresh_token_are_told_apart(sandbox: Sandbox) -> None:
    """As `claude setup-token` makes them. The newest generation has the store's own token, so it is not restored."""
    sandbox.log_in("backup")
    first, second = ({"claudeAiOauth": {"accessToken": f"{MARK}main-{number}"}} for number in (1, 2))
    older = generation(sandbox, first, identity("main"))
    for path in kept.generations(sandbox.state_file.parent, "main").glob(f"{older}*"):
        os.utime(path, (time.time() - DAY,) * 2)
    generation(sandbox, second, identity("main"))
    sandbox.write(sandbox.stored("main") / ".credentials.json", {**second, "more": 1})
    assert facts(sandbox, "accounts", "restore", "main")["generation"] == older


def test_a_generation_that_is_blank_or_another_accounts_is_refused(sandbox: Sandbox) -> None:
    sandbox.log_in("backup")
    run(sandbox, "add", "backup")
    blank = credentials("main")
    blank["claudeAiOauth"].update(accessToken="", refreshToken="")
    named = credentials("backup", 9)
    named["claudeAiOauth"]["accountUuid"] = identity("backup")["accountUuid"]
    before = stored(sandbox, "main")
    for values, who, why in (
        (blank, identity("main"), "are blank"),
        (named, identity("main"), "belong to backup"),
        (credentials("x"), identity("backup"), "belong to backup"),
        (credentials("x"), identity("x"), "name another account than main's store"),
    ):
        done = run(sandbox, "restore", "main", generation(sandbox, values, who), code=1)
        assert f"the kept credentials {why}" in done.stderr
    assert stored(sandbox, "main") == before


def test_restoring_the_live_account_says_that_it_does_not_last(sandbox: Sandbox) -> None:
    refreshed(sandbox, "main", 3)
    done = run(sandbox, "restore", "main")
    assert "main is live: run `failoverctl swap`, then restore again" in done.stdout
    assert stored(sandbox, "main") != "fake-main-refresh-3"


def test_a_running_check_is_not_disturbed(sandbox: Sandbox) -> None:
    """The commands that write take the lock that checks take."""
    refreshed(sandbox, "main", 3)
    sandbox.log_in("backup")
    sandbox.config["state"] = {"path": str(sandbox.state_file), "lock_timeout": "1s"}
    with Path(f"{sandbox.state_file}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "another check still holds" in run(sandbox, "restore", "main", code=75).stderr
    assert stored(sandbox, "main") == "fake-main-refresh-3"


def test_no_subcommand_is_the_list(sandbox: Sandbox) -> None:
    assert facts(sandbox, "accounts") == facts(sandbox, "accounts", "list")


# -- unclaimed ---------------------------------------------------------------------------------------------------------


def test_unclaimed_credentials_are_shown_with_the_command_that_assigns_them(sandbox: Sandbox) -> None:
    key = unclaimed(sandbox, credentials("main", 5), None, suspect="main")
    command = f"failoverctl accounts unclaimed assign {key} main"
    row = {"file": key, "identity": None, "account": "main", "reason": "the token is unknown"}
    for arguments in (("accounts",), ("accounts", "unclaimed"), ("status",)):
        found = facts(sandbox, *arguments)["unclaimed"]
        assert [{name: entry[name] for name in row} for entry in found] == [row]
        assert set(found[0]) == {*row, "at", "expires_at"}
        said = ctl(sandbox, *arguments)
        assert command in text(said)
        assert MARK not in said.stdout
    assert "perhaps main's" in text(run(sandbox, "check", code=1))
    line = next(line for line in doctor(sandbox) if key in line["text"] and line["fix"] == command)
    assert line["level"] == "warning"


def doctor(sandbox: Sandbox) -> list[dict[str, str]]:
    done = ctl(sandbox, "doctor", "--json")
    assert MARK not in done.stdout
    lines: list[dict[str, str]] = json.loads(done.stdout)["lines"]
    return lines


def test_nothing_unclaimed(sandbox: Sandbox) -> None:
    assert run(sandbox, "unclaimed").stdout == "no unclaimed credentials\n"


@pytest.mark.parametrize("form", ["id", "printed", "name", "path", "beginning"])
def test_an_entry_moves_into_the_store_and_the_account_is_free_again(sandbox: Sandbox, form: str) -> None:
    key = unclaimed(sandbox, credentials("backup", 5), identity("backup"), suspect="backup")
    path = str(sandbox.state_file.parent / "unclaimed" / f"{key}.credentials.json")
    word = {"id": key, "printed": f"unclaimed/{key}", "name": Path(path).name, "path": path, "beginning": key[:20]}
    assert facts(sandbox, "accounts", "list", "backup")["accounts"][0]["problem"] is not None
    done = run(sandbox, "unclaimed", "assign", word[form], "backup")
    assert f"{key} is now a generation of backup" in done.stdout
    assert stored(sandbox, "backup") == "fake-backup-refresh-5"
    assert not list((sandbox.state_file.parent / "unclaimed").iterdir())
    assert sandbox.state().get("unclaimed", {}) == {}
    kept_tokens = {refresh_token(entry.contents()["credentials.json"]) for entry in generations(sandbox, "backup")}
    assert kept_tokens == {"fake-backup-refresh-1", "fake-backup-refresh-5"}
    assert facts(sandbox, "accounts", "list", "backup")["accounts"][0]["problem"] is None


def test_an_entry_older_than_the_store_becomes_a_generation(sandbox: Sandbox) -> None:
    key = unclaimed(sandbox, credentials("backup", 5), identity("backup"), suspect="backup")
    old = sandbox.state_file.parent / "unclaimed" / f"{key}.credentials.json"
    os.utime(old, (time.time() - 90 * DAY,) * 2)  # it must not be pruned at once
    sandbox.store("backup", generation=8)
    done = run(sandbox, "unclaimed", "assign", key, "backup")
    assert f"run `failoverctl accounts restore backup {key}` to use it instead" in done.stdout
    assert stored(sandbox, "backup") == "fake-backup-refresh-8"
    assert [entry.id for entry in generations(sandbox, "backup")] == [key]
    assert time.time() - generations(sandbox, "backup")[0].at.timestamp() < DAY
    assert sandbox.state().get("unclaimed", {}) == {}
    run(sandbox, "restore", "backup", key)
    assert stored(sandbox, "backup") == "fake-backup-refresh-5"


def test_an_entry_of_another_account_is_refused(sandbox: Sandbox) -> None:
    """By the account that the credentials name, and by the identity beside them; nothing is moved or written."""
    sandbox.server.start("keep")
    named = credentials("main", 5)
    named["claudeAiOauth"]["accountUuid"] = identity("main")["accountUuid"]
    for values, who in ((named, identity("backup")), (credentials("main", 6), identity("main"))):
        key = unclaimed(sandbox, values, who)
        ctl(sandbox, "accounts")
        before = sandbox.fingerprint()
        done = run(sandbox, "unclaimed", "assign", key, "backup", code=1)
        assert "belong to main" in done.stderr
        assert sandbox.fingerprint() == before


@pytest.mark.parametrize("stored_now", [1, 8])
def test_an_identity_that_was_written_back_does_not_decide(sandbox: Sandbox, stored_now: int) -> None:
    """Backup's credentials beside main's identity: the doubtful identity neither stops the assignment nor moves in."""
    sandbox.store("backup", generation=stored_now)
    key = unclaimed(sandbox, credentials("backup", 5), identity("main"), suspect="backup")
    run(sandbox, "unclaimed", "assign", key, "backup")
    assert stored(sandbox, "backup") == f"fake-backup-refresh-{max(5, stored_now)}"
    assert json.loads((sandbox.stored("backup") / "oauthAccount.json").read_bytes()) == identity("backup")
    row = facts(sandbox, "accounts", "list", "backup")["accounts"][0]
    assert row["problem"] is None
    assert "main@example.invalid" not in json.dumps(row)
    folder = kept.generations(sandbox.state_file.parent, "backup")
    assert json.loads((folder / f"{key}.identity-in-doubt").read_bytes()) == identity("main")
    sandbox.store("backup", generation=9)
    run(sandbox, "restore", "backup", key)
    assert stored(sandbox, "backup") == "fake-backup-refresh-5"


def test_an_unknown_entry_is_refused_with_the_known_ones(sandbox: Sandbox) -> None:
    key = unclaimed(sandbox, credentials("main", 5), None)
    done = run(sandbox, "unclaimed", "assign", "19990101", "main", code=2)
    assert (f"(known: {key})" in done.stderr, "no unclaimed entry '19990101'" in done.stderr) == (True, True)


def test_a_new_login_ends_the_doubt_about_an_account(sandbox: Sandbox) -> None:
    """Unclaimed credentials that nobody can place must not keep an account out for ever."""
    key = unclaimed(sandbox, credentials("x"), None, suspect="backup")
    sandbox.log_in("backup", generation=9)
    run(sandbox, "add", "backup")
    assert sandbox.state()["unclaimed"][key]["account"] is None
    assert facts(sandbox, "accounts", "list", "backup")["accounts"][0]["problem"] is None


# -- method files ------------------------------------------------------------------------------------------------------


@pytest.fixture
def files(sandbox: Sandbox) -> Sandbox:
    """The sandbox with method `files`: one live file, of main."""
    live = sandbox.home / ".codex" / "auth.json"
    sandbox.config["swap"] = {"method": "files", "files": [str(live)]}
    sandbox.write(live, auth("main", 2))
    for name in sandbox.accounts:
        sandbox.write(sandbox.stored(name) / "auth.json", auth(name))
    return sandbox


def auth(name: str, number: int = 1) -> dict[str, Any]:
    who = {"account_id": f"{name}-id", "last_refresh": f"2026-11-{number:02}T00:00:00Z"}
    return {"tokens": {"refresh_token": f"{MARK}{name}-{number}"}, **who}


def test_generations_of_any_files_are_shown_and_restored(files: Sandbox) -> None:
    run(files, "add", "main")
    rows = facts(files, "accounts", "list", "main")["accounts"][0]["generations"]
    assert [row["identity"] for row in rows] == ["main-id"]
    files.write(files.home / ".codex" / "auth.json", auth("backup", 3))
    run(files, "restore", "main")
    assert json.loads((files.stored("main") / "auth.json").read_bytes()) == auth("main", 1)


def test_unclaimed_files_are_assigned_or_become_a_generation(files: Sandbox) -> None:
    for number, expected in ((5, 5), (3, 5)):
        content = json.dumps(auth("backup", number)).encode()
        key = kept.keep(files.state_file.parent / "unclaimed", {"auth.json": content})
        run(files, "unclaimed", "assign", key, "main", code=1)
        run(files, "unclaimed", "assign", key, "backup")
        assert json.loads((files.stored("backup") / "auth.json").read_bytes()) == auth("backup", expected)
    numbers = {json.loads(e.contents()["auth.json"])["last_refresh"][8:10] for e in generations(files, "backup")}
    assert numbers == {"01", "03", "05"}


# -- status and doctor -------------------------------------------------------------------------------------------------


def test_the_doctor_reports_a_token_and_an_identity_that_disagree(sandbox: Sandbox) -> None:
    tokens = credentials("backup", 7)
    tokens["claudeAiOauth"]["accountUuid"] = identity("backup")["accountUuid"]
    sandbox.write(sandbox.live_credentials, tokens)
    text = f"the live credentials are backup's, but {sandbox.settings} names main"
    line = next(line for line in doctor(sandbox) if line["text"] == text)
    assert line["fix"].startswith("failoverctl accounts add backup")
    assert ctl(sandbox, *line["fix"].partition(" (")[0].split()[1:]).returncode == 0
    assert text not in [line["text"] for line in doctor(sandbox)]


def test_the_real_cause_of_unreadable_live_files_is_named(sandbox: Sandbox) -> None:
    sandbox.settings.write_text('{"oauthAccount": {')
    line = next(line for line in doctor(sandbox) if line["text"].startswith("cannot read the live credentials"))
    assert str(sandbox.settings) in line["text"]
    assert "belong to" not in line["text"]
    assert any(str(sandbox.settings) in note for note in facts(sandbox, "status")["notes"])


def test_the_doctor_names_a_mounted_credential_file(sandbox: Sandbox) -> None:
    environment = environ(sandbox)
    file = sandbox.live_credentials
    command = f"mount --bind {file} {file} && exec {shlex.join([*CTL, 'doctor', '--json'])}"
    done = sandbox.execute(["unshare", "--mount", "sh", "-c", command], **environment)
    if "unshare" in done.stderr or "mount:" in done.stderr:
        pytest.skip("needs the right to mount")
    lines = json.loads(done.stdout)["lines"]
    line = next(line for line in lines if "is a mount of its own" in line["text"])
    assert (line["level"], str(file) in line["text"]) == ("error", True)
    assert str(file.parent) in line["fix"]
    assert not any("is a mount" in line["text"] for line in doctor(sandbox))
