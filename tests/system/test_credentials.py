"""The owner of the live credentials: failback, logging in by hand, sessions with their own, secrets of method env."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.paths import PANES
from tests.support.polling import poll
from tests.support.sandbox import POOL, Sandbox, hit_screen
from tests.support.tmux_server import Server

IDLE = (PANES / "ok" / "ok-80x24.txt").read_text(encoding="utf-8")
LAST = hit_screen().rsplit(maxsplit=1)[-1]  # on the screen only when all of it is


@pytest.mark.parametrize("failback", [True, False])
def test_failback_when_the_preferred_account_is_free_and_none_works(sandbox: Sandbox, failback: bool) -> None:
    sandbox.log_in("backup")
    sandbox.config["quota"] = {"failback": failback}
    sandbox.set_state(active_account="backup")
    for name in POOL:
        sandbox.server.show(name, IDLE)
    before = sandbox.server.pids()
    report = sandbox.check()
    assert report["outcome"] == ("swapped" if failback else "ok")
    assert sandbox.live()[1] == f"{'main' if failback else 'backup'}@example.invalid"
    assert sandbox.server.pids() == before, "an idle agent uses the new credentials at its next message"
    assert sandbox.state()["accounts"].get("backup", {}).get("exhausted_until") is None


def test_the_account_that_the_operator_logged_in_to_is_adopted(blocked: Sandbox) -> None:
    """The state names main, but the operator has logged in to backup: backup is blocked, and main is the candidate."""
    blocked.set_state(active_account="main")
    blocked.log_in("backup", generation=5)
    report = blocked.check()
    assert (report["outcome"], report["swap"]) == ("swapped", {"from": "backup", "to": "main"})
    kept = json.loads((blocked.stored("backup") / ".credentials.json").read_bytes())
    assert kept["claudeAiOauth"]["refreshToken"] == "fake-backup-refresh-5"


def test_unclaimed_credentials_are_kept(blocked: Sandbox) -> None:
    blocked.set_state(active_account="main")
    blocked.log_in("stranger")
    before = {p: p.read_bytes() for p in blocked.stored("main").iterdir()}
    assert blocked.check()["outcome"] == "swapped"
    assert {p: p.read_bytes() for p in before} == before
    aside = list((blocked.state_file.parent / "unclaimed").glob("*.credentials.json"))
    assert ["fake-stranger-refresh-1" in path.read_text() for path in aside] == [True]


def test_a_session_with_its_own_login_is_one_warning(sandbox: Sandbox) -> None:
    for name in POOL[:2]:
        sandbox.server.start(
            name, f"export ANTHROPIC_API_KEY=FAKE-key; exec sh -c '{sandbox.server.screen_command(hit_screen())}'"
        )
    for name in POOL[:2]:
        sandbox.server.wait_for(name, LAST)
    late = f"{datetime.now(UTC) + timedelta(days=2):%Y-%m-%dT%H:%M:%SZ}"
    sandbox.set_state(active_account="main", accounts={"backup": {"exhausted_until": late}})
    first, second = sandbox.run(), sandbox.run()
    assert first.stderr.count("has its own login (ANTHROPIC_API_KEY)") == 2
    assert "ANTHROPIC_API_KEY" not in second.stderr
    assert "FAKE-key" not in first.stdout + first.stderr + sandbox.state_file.read_text()


def test_secrets_of_the_env_method_reach_the_session_and_nothing_else(server: Server, tmp_path: Path) -> None:
    sandbox = Sandbox(server, tmp_path)
    secret = "FAKE-secret-'\"$HOME #{pid}"
    file = sandbox.home / "backup.env"
    file.write_text("CLAUDE_CODE_OAUTH_TOKEN='FAKE-secret-in-file'\n")
    file.chmod(0o600)
    sandbox.config["swap"] = {"method": "env"}
    sandbox.config["accounts"] = [
        {"name": "main", "env": {"OTHER": "x"}},
        {"name": "backup", "env": {"OTHER": secret}, "env_file": str(file)},
    ]
    log = tmp_path / "log"
    for name in POOL[:2]:
        server.start(name, f'echo "$OTHER|$CLAUDE_CODE_OAUTH_TOKEN" >> {log}; {server.screen_command(hit_screen())}')
        server.wait_for(name, LAST)
    done = sandbox.run("-v", "--json")
    assert json.loads(done.stdout)["outcome"] == "swapped"
    poll(lambda: len(log.read_text().splitlines()) == 4)
    assert log.read_text().splitlines()[2:] == [f"{secret}|FAKE-secret-in-file"] * 2
    told = done.stdout + done.stderr + sandbox.state_file.read_text()
    assert "FAKE-secret" not in told
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            assert b"FAKE-secret" not in entry.read_bytes()
        except OSError:
            continue
