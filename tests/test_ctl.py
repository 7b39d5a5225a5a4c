"""`failoverctl`: the demo and the accounts, as an operator runs them."""

import json
import shutil
import subprocess
import sys

from fleet import Fleet
from test_check import fleet

__all__ = ["fleet"]


def ctl(fleet: Fleet, *arguments: str) -> subprocess.CompletedProcess[str]:
    fleet.save_config()
    flags = ["--config", str(fleet.config_file), "--state", str(fleet.state_file)]
    argv = [sys.executable, "-m", "failover_oneshot.ctl", *arguments, *(flags if arguments[0] == "accounts" else [])]
    return subprocess.run(argv, env=fleet.environ(), capture_output=True, text=True, timeout=120, check=False)


def test_the_demo_keeps_its_promises(fleet: Fleet) -> None:
    done = ctl(fleet, "demo")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "promises hold" in done.stdout
    assert "✗" not in done.stdout


def test_accounts_are_listed_and_checked(fleet: Fleet) -> None:
    rows = json.loads(ctl(fleet, "accounts", "--json").stdout)["accounts"]
    assert [(row["name"], row["active"], row["problem"]) for row in rows] == [
        ("main", True, None), ("backup", False, None),
    ]  # fmt: skip
    assert ctl(fleet, "accounts", "check").returncode == 0
    shutil.rmtree(fleet.stored("backup"))
    done = ctl(fleet, "accounts", "check")
    assert (done.returncode, "does not exist" in done.stdout, "FAKE" in done.stdout) == (1, True, False)


def test_the_live_login_is_captured_for_the_account_that_it_is(fleet: Fleet) -> None:
    shutil.rmtree(fleet.stored("backup"))
    fleet.log_in("backup", generation=3)
    done = ctl(fleet, "accounts", "add", "backup")
    assert done.returncode == 0, done.stdout
    kept = json.loads((fleet.stored("backup") / ".credentials.json").read_bytes())
    assert kept["claudeAiOauth"]["refreshToken"] == "FAKE-refresh-backup-3"
    refused = ctl(fleet, "accounts", "add", "main")
    assert (refused.returncode, "that of backup" in refused.stdout) == (1, True)
    assert ctl(fleet, "accounts", "add", "nobody").returncode == 2
