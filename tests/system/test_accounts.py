"""`failoverctl accounts` as an operator runs it."""

import json
import re
import shutil
import stat
from datetime import UTC, datetime, timedelta

import pytest

from failover_oneshot.ctl.demo.sandbox import MARK, credentials
from tests.support.operator import STATES, ctl, every_state, facts, put_state
from tests.support.sandbox import Sandbox


def test_accounts_are_listed_and_checked(sandbox: Sandbox) -> None:
    rows = facts(sandbox, "accounts")["accounts"]
    assert [(row["name"], row["active"], row["problem"]) for row in rows] == [
        ("main", True, None), ("backup", False, None),
    ]  # fmt: skip
    assert ctl(sandbox, "accounts", "check").returncode == 0
    shutil.rmtree(sandbox.stored("backup"))
    done = ctl(sandbox, "accounts", "check")
    assert (done.returncode, "does not exist" in done.stdout, MARK in done.stdout) == (1, True, False)
    assert "failoverctl accounts add backup" in done.stdout


def test_what_is_in_a_store(sandbox: Sandbox) -> None:
    """Presence, syntax, mode, identity and expiry are shown, and no token."""
    soon = credentials("main")
    soon["claudeAiOauth"]["expiresAt"] = (datetime.now(UTC) + timedelta(hours=2)).timestamp() * 1000
    sandbox.write(sandbox.stored("main") / ".credentials.json", soon)
    sandbox.stored("backup").chmod(0o755)
    (sandbox.stored("backup") / ".credentials.json").write_text("{")
    (sandbox.stored("backup") / ".credentials.json").chmod(0o644)
    main, backup = (row["contents"] for row in facts(sandbox, "accounts", "check", code=1)["accounts"])
    assert (main["identity"], main["mode"], main["exposed"]) == ("main@example.invalid", "0700", [])
    expires_at = datetime.fromtimestamp(soon["claudeAiOauth"]["expiresAt"] / 1000, UTC)
    assert datetime.fromisoformat(main["expires_at"]) == expires_at.replace(microsecond=0)
    assert [(f["present"], f["parses"]) for f in backup["files"]] == [(True, False), (True, True)]
    assert len(backup["exposed"]) == 2
    text = " ".join(ctl(sandbox, "accounts", "check").stdout.split())
    assert f"chmod 700 {sandbox.stored('backup')}`" in text
    assert f"chmod 600 {sandbox.stored('backup')}/.credentials.json`" in text
    assert re.search(r"access token valid for (2h|1h5\dm)", text)
    assert MARK not in text
    assert ctl(sandbox, "accounts", "check", "main").returncode == 0


def test_the_live_credentials_are_captured_for_their_account(sandbox: Sandbox) -> None:
    shutil.rmtree(sandbox.stored("backup"))
    sandbox.log_in("backup", generation=3)
    done = ctl(sandbox, "accounts", "add", "backup")
    assert done.returncode == 0, done.stderr
    kept = json.loads((sandbox.stored("backup") / ".credentials.json").read_bytes())
    assert kept["claudeAiOauth"]["refreshToken"] == "fake-backup-refresh-3"
    assert stat.S_IMODE(sandbox.stored("backup").stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in sandbox.stored("backup").iterdir()} == {0o600}
    refused = ctl(sandbox, "accounts", "add", "main")
    assert (refused.returncode, "belong to backup" in refused.stderr) == (1, True)


def test_an_account_that_the_config_does_not_name_is_explained(sandbox: Sandbox) -> None:
    for arguments in (
        ("check", "third"),
        ("list", "third"),
        ("restore", "third"),
        ("unclaimed", "assign", "x", "third"),
    ):
        done = ctl(sandbox, "accounts", *arguments)
        assert (done.returncode, "(accounts: main, backup)" in done.stderr) == (2, True)
    assert ctl(sandbox, "accounts", "add").returncode == 2


def test_blank_credentials_are_not_captured(sandbox: Sandbox) -> None:
    blank = credentials("main")
    blank["claudeAiOauth"].update(accessToken="", refreshToken="")
    sandbox.write(sandbox.claude / ".credentials.json", blank)
    before = (sandbox.stored("main") / ".credentials.json").read_bytes()
    done = ctl(sandbox, "accounts", "add", "main")
    assert (done.returncode, "log in as main first" in done.stderr) == (1, True)
    assert (sandbox.stored("main") / ".credentials.json").read_bytes() == before


def test_capture_is_refused_for_methods_without_live_credentials(sandbox: Sandbox) -> None:
    sandbox.config["swap"] = {"method": "env"}
    sandbox.config["accounts"] = [{"name": "main", "env": {"A": "FAKE-secret"}}]
    for arguments in (("add", "main"), ("restore", "main"), ("unclaimed", "assign", "x", "main")):
        done = ctl(sandbox, "accounts", *arguments)
        assert (done.returncode, "nothing to save or restore" in done.stderr) == (1, True)
    assert "FAKE" not in ctl(sandbox, "accounts", "check").stdout


def test_no_accounts_at_all(sandbox: Sandbox) -> None:
    sandbox.config["accounts"] = []
    done = ctl(sandbox, "accounts")
    assert (done.returncode, str(sandbox.config_file) in done.stdout) == (0, True)


@every_state
@pytest.mark.parametrize("command", ["history", "accounts"])
def test_missing_broken_and_newer_states(sandbox: Sandbox, kind: str, command: str) -> None:
    text, code, _ = STATES[kind]
    put_state(sandbox, text)
    done = ctl(sandbox, command)
    assert done.returncode == code
    assert len(done.stderr.splitlines()) == (code == 74)
    assert not list(sandbox.state_file.parent.glob("*corrupt*"))
