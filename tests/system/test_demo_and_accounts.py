"""`failoverctl`: the demo, the accounts and the history, as an operator runs them."""

import json
import re
import shutil
import stat
from datetime import UTC, datetime, timedelta

import pytest

from failover_oneshot.ctl.demo.sandbox import MARK, credentials
from failover_oneshot.ctl.lib import times
from tests.support.builders import NOW, at
from tests.support.operator import STATES, ctl, every_state, facts, huge, put_state, stamp
from tests.support.sandbox import Sandbox


def test_the_demo_keeps_its_promises(sandbox: Sandbox) -> None:
    done = ctl(sandbox, "demo")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "promises hold" in done.stdout
    assert "✗" not in done.stdout


# --- accounts --------------------------------------------------------------------------------------------------------


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
    """Present, parses, mode, identity, expiry; and never a token."""
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
    text = ctl(sandbox, "accounts", "check").stdout
    assert "chmod 700 it" in text
    assert "chmod 600 it" in text
    assert re.search(r"access token valid for (2h|1h5\dm)", text)
    assert MARK not in text
    assert ctl(sandbox, "accounts", "check", "main").returncode == 0


def test_the_live_login_is_captured_for_the_account_that_it_is(sandbox: Sandbox) -> None:
    shutil.rmtree(sandbox.stored("backup"))
    sandbox.log_in("backup", generation=3)
    done = ctl(sandbox, "accounts", "add", "backup")
    assert done.returncode == 0, done.stderr
    kept = json.loads((sandbox.stored("backup") / ".credentials.json").read_bytes())
    assert kept["claudeAiOauth"]["refreshToken"] == "fake-backup-refresh-3"
    assert stat.S_IMODE(sandbox.stored("backup").stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in sandbox.stored("backup").iterdir()} == {0o600}
    refused = ctl(sandbox, "accounts", "add", "main")
    assert (refused.returncode, "that of backup" in refused.stderr) == (1, True)


def test_an_account_that_the_config_does_not_name_is_explained(sandbox: Sandbox) -> None:
    done = ctl(sandbox, "accounts", "add", "third")
    assert done.returncode == 2
    assert "there are: main, backup" in done.stderr
    assert "accounts:\n  - name: third\n    store: ~/.claude-accounts/third" in done.stderr
    assert not sandbox.stored("third").exists()
    assert ctl(sandbox, "accounts", "add").returncode == 2
    assert ctl(sandbox, "accounts", "check", "third").returncode == 2


def test_nothing_is_captured_from_a_blank_login(sandbox: Sandbox) -> None:
    blank = credentials("main")
    blank["claudeAiOauth"].update(accessToken="", refreshToken="")
    sandbox.write(sandbox.claude / ".credentials.json", blank)
    before = (sandbox.stored("main") / ".credentials.json").read_bytes()
    done = ctl(sandbox, "accounts", "add", "main")
    assert (done.returncode, "log in as this account first" in done.stderr) == (1, True)
    assert (sandbox.stored("main") / ".credentials.json").read_bytes() == before


def test_methods_without_anything_to_capture_say_so(sandbox: Sandbox) -> None:
    sandbox.config["swap"] = {"method": "env"}
    sandbox.config["accounts"] = [{"name": "main", "env": {"A": "FAKE-secret"}}]
    done = ctl(sandbox, "accounts", "add", "main")
    assert (done.returncode, "nothing to capture" in done.stderr) == (1, True)
    assert "FAKE" not in ctl(sandbox, "accounts", "check").stdout


def test_no_accounts_at_all(sandbox: Sandbox) -> None:
    sandbox.config["accounts"] = []
    done = ctl(sandbox, "accounts")
    assert (done.returncode, str(sandbox.config_file) in done.stdout) == (0, True)


# --- history ---------------------------------------------------------------------------------------------------------


def test_a_swap_and_a_wait_are_in_the_history_once(blocked: Sandbox) -> None:
    assert "nothing was swapped yet" in ctl(blocked, "history").stdout
    blocked.set_state(active_account="main", accounts={"backup": {"exhausted_until": stamp(hours=1)}})
    blocked.check()
    blocked.check()
    blocked.set_state(accounts={})
    blocked.check()
    entries = facts(blocked, "history")["entries"]
    assert [(e["outcome"], e["from"], e["to"]) for e in entries] == [
        ("waiting", "main", None), ("swapped", "main", "backup"),
    ]  # fmt: skip
    text = " ".join(ctl(blocked, "history").stdout.split())
    assert "swapped main → backup" in text
    assert "You've hit your 5-hour limit" in text, "its evidence"
    assert "recreate done: ccl-auto-11, ccl-auto-12, ccl-auto-13" in text


def test_how_far_back(sandbox: Sandbox) -> None:
    put_state(sandbox, json.dumps(huge()))
    lines = ctl(sandbox, "history").stdout.splitlines()
    assert lines[0] == "… 9980 older ones: -n 0 prints all"
    assert sum("swapped" in line and "ago" in line for line in lines) == 20
    assert len(facts(sandbox, "history", "--since", "1000m")["entries"]) in {9, 10}
    assert facts(sandbox, "history")["total"] == 10_000
    assert len(facts(sandbox, "history", "-n", "7")["entries"]) == 7
    assert ctl(sandbox, "history", "--since", "today").returncode == 0
    assert ctl(sandbox, "history", "--since", "soon").returncode == 2


@every_state
@pytest.mark.parametrize("command", ["history", "accounts"])
def test_states_that_are_none(sandbox: Sandbox, kind: str, command: str) -> None:
    text, code, _ = STATES[kind]
    put_state(sandbox, text)
    done = ctl(sandbox, command)
    assert done.returncode == code
    assert len(done.stderr.splitlines()) == (code == 74)
    assert not list(sandbox.state_file.parent.glob("*corrupt*"))


def test_entries_that_somebody_else_wrote(sandbox: Sandbox) -> None:
    strange = [
        {},
        {"at": 7, "outcome": []},
        {"at": "2026-01-01", "outcome": "danced", "sessions": 3, "rejected": "x"},
        {"at": "0001-01-01T00:00:00+14:00"},
        {"at": stamp(), "reason": "\x1b[31mred", "to": {"a": 1}},
    ]
    put_state(sandbox, json.dumps({"version": 1, "history": strange}))
    done = ctl(sandbox, "history")
    assert (done.returncode, "danced" in done.stdout, "\x1b" in done.stdout) == (0, True, False)
    assert ctl(sandbox, "history", "--since", "1h").returncode == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90s", at(seconds=-90)), ("2h", at(hours=-2)), ("3d", at(days=-3)), ("1w", at(days=-7)),
        ("2026-11-24T09:00Z", at(hours=-1)), ("2026-11-24T09:00:00+02:00", at(hours=-3)),
    ],
)  # fmt: skip
def test_points_in_time(text: str, expected: datetime) -> None:
    assert times.instant(text, NOW) == expected


@pytest.mark.parametrize("text", ["", "soon", "-1h", "2026-13-01", "0001-01-01T00:00+14:00", "0"])
def test_points_in_time_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match="is no time"):
        times.instant(text, NOW)


def test_instants_for_people() -> None:
    assert (times.ago(at(minutes=-3), NOW), times.ago(NOW, NOW)) == ("3m ago", "just now")
    assert times.ago(at(hours=1), NOW) == "in the future, at 11:00Z"
    assert (times.clock(at(hours=2), NOW), times.clock(at(days=2), NOW)) == ("12:00Z", "Nov 26 10:00Z")
    assert times.clock(at(days=60), NOW) == "2027-01-23 10:00Z"


def test_the_hits_that_a_swap_answered_are_told_once_for_each_wording(sandbox: Sandbox) -> None:
    hits = [{"session": f"ccl-auto-{n}", "snippet": "You've hit your limit"} for n in range(11, 14)]
    entry = {"at": stamp(), "outcome": "swapped", "from": "main", "to": "backup", "hits": [*hits, 7, {"snippet": "x"}]}
    put_state(sandbox, json.dumps({"version": 1, "history": [entry]}))
    text = ctl(sandbox, "history").stdout
    assert "“You've hit your limit” on ccl-auto-11, ccl-auto-12, ccl-auto-13" in text
