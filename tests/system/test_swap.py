"""The swap as the operator sees it: candidates in turn, failures, and the completion of a killed swap."""

import json
import os
import resource
import subprocess
from pathlib import Path
from typing import Any

import pytest

from failover_oneshot.ctl.demo.sandbox import credentials
from failover_oneshot.state.model import SwapStep
from failover_oneshot.swap.journal import RULES
from tests.support.sandbox import POOL, Sandbox


def command(sandbox: Sandbox, body: str) -> Path:
    """A swap.command that runs that script; it also logs each call."""
    calls = sandbox.home / "calls"
    script = sandbox.home / "switch"
    script.write_text(f'#!/bin/sh\necho "$1 $2" >> {calls}\n{body}\n')
    script.chmod(0o755)
    sandbox.config["swap"] = {"method": "command", "command": [str(script), "{from}", "{to}"]}
    sandbox.config["accounts"] = [{"name": name} for name in ("main", "backup", "spare")]
    sandbox.set_state(active_account="main")
    return calls


def journal(**changes: Any) -> dict[str, Any]:
    return {
        "started_at": "2026-11-23T10:00:00Z", "kind": "swap", "from": "main", "to": "backup", "step": "save_back",
        "reason": "3 of 10", "candidates": [], "acted_on": list(POOL), "runs": 1, **changes,
    }  # fmt: skip


def test_a_failing_target_is_reported_and_the_next_candidate_is_used(blocked: Sandbox) -> None:
    calls = command(blocked, '[ "$2" = spare ] || { echo "no seat left for $2" >&2; exit 3; }')
    report = blocked.check()
    assert (report["outcome"], report["swap"]) == ("swapped", {"from": "main", "to": "spare"})
    assert calls.read_text().splitlines() == ["main backup", "main spare"]
    state = blocked.state()
    why = "swap.command failed (exit status 3): no seat left for backup"
    assert state["accounts"]["backup"]["unusable"]["reason"] == why
    assert state["history"][0]["rejected"] == {"backup": why}


def test_when_no_candidate_works_the_swap_is_rolled_back(blocked: Sandbox) -> None:
    calls = command(blocked, "exit 3")
    before = blocked.server.pids()
    report = blocked.check(code=1)
    assert report["outcome"] == "failed"
    assert "backup: swap.command failed (exit status 3); spare: swap.command failed (exit status 3)" in report["reason"]
    assert (blocked.state()["active_account"], blocked.state()["swap_in_progress"]) == ("main", None)
    assert blocked.server.pids() == before
    assert blocked.check()["outcome"] == "cooldown"
    assert len(calls.read_text().splitlines()) == 2


def test_a_failure_to_save_credentials_is_not_the_candidates_fault(blocked: Sandbox) -> None:
    """The old account's store cannot be written, so there is no swap, and no other account becomes unusable."""
    (blocked.stored("main") / ".credentials.json").unlink()
    (blocked.stored("main") / ".credentials.json").mkdir()
    before = blocked.server.pids(), blocked.live()
    report = blocked.check(code=1)
    assert report["outcome"] == "failed"
    assert "cannot save the live credentials" in report["reason"]
    assert blocked.state()["accounts"]["backup"]["unusable"] is None
    assert (blocked.server.pids(), blocked.live()) == before


def test_a_symbolic_link_is_followed_and_kept(blocked: Sandbox) -> None:
    for link in (blocked.claude / ".credentials.json", blocked.stored("main") / ".credentials.json"):
        real = blocked.home / "dotfiles" / link.parent.name / link.name
        real.parent.mkdir(parents=True)
        link.rename(real)
        link.symlink_to(real)
    assert blocked.check()["outcome"] == "swapped"
    assert blocked.live() == ("fake-backup-1", "backup@example.invalid")
    for link in (blocked.claude / ".credentials.json", blocked.stored("main") / ".credentials.json"):
        assert link.is_symlink()
    kept = json.loads((blocked.stored("main") / ".credentials.json").read_bytes())
    assert kept["claudeAiOauth"] == credentials("main", 2)["claudeAiOauth"]


@pytest.mark.parametrize("step", list(SwapStep))
def test_the_check_that_completes_a_swap_reports_the_rule(blocked: Sandbox, step: SwapStep) -> None:
    if step is not SwapStep.SAVE_BACK:  # after that step the account is live
        blocked.store("main", 2)
        blocked.log_in("backup")
    prepared = {"token": "0000", "incoming": "backup"}
    blocked.set_state(active_account="main", swap_in_progress=journal(step=step, prepared=prepared))
    done = blocked.run("--json")
    report = json.loads(done.stdout)
    assert (done.returncode, report["outcome"]) == (0, "swapped")
    assert f"at step {step}" in report["reason"]
    assert RULES[step] in done.stderr
    assert blocked.live()[1] == "backup@example.invalid"
    assert blocked.state()["history"][0]["outcome"] == "swapped"


def test_an_interrupted_install_stays_owed_while_nothing_can_be_saved(blocked: Sandbox) -> None:
    """Half of it may be installed, so the journal is not given up."""
    folder = blocked.state_file.parent / "unclaimed"
    note = {"token": "0123456789abcdef", "incoming": "backup", "identity": ""}
    blocked.set_state(active_account="main", swap_in_progress=journal(step="install", prepared=note))
    folder.write_text("in the way")
    report = blocked.check(code=1)
    assert "swap not finished: cannot save the live credentials" in report["reason"]
    assert blocked.state()["swap_in_progress"]["step"] == "install"
    folder.unlink()
    assert blocked.check()["outcome"] == "swapped"
    assert blocked.state()["swap_in_progress"] is None


def test_half_a_swap_to_an_account_no_longer_configured_is_undone(blocked: Sandbox) -> None:
    """The check was killed between the two files; then the operator removed the account from the configuration."""
    old = blocked.live()
    blocked.write(blocked.claude / ".credentials.json", credentials("backup"))
    (blocked.home / ".failover-tmp-0000-1").write_text("{}")
    blocked.config["accounts"] = [{"name": "main", "store": str(blocked.stored("main"))}]
    blocked.store("main", 2)
    prepared = {"token": "0000", "incoming": "backup"}
    blocked.set_state(active_account="main", swap_in_progress=journal(step="install", prepared=prepared))
    report = blocked.check(code=1)
    assert "backup: no longer in the config" in report["reason"]
    assert blocked.live() == old
    aside = (blocked.state_file.parent / "unclaimed").glob("*.credentials.json")
    assert ["fake-backup-refresh-1" in path.read_text() for path in aside] == [True]
    assert blocked.state()["swap_in_progress"] is None


def test_a_nudge_cannot_change_an_account_in_the_environment(blocked: Sandbox) -> None:
    blocked.config["swap"] = {"method": "env"}
    blocked.config["accounts"] = [{"name": name, "env": {"FAKE_ACCOUNT": name}} for name in ("main", "backup")]
    blocked.config["pool"]["autonomous"]["after_swap"] = "nudge"
    blocked.set_state(active_account="main")
    before = blocked.server.pids()
    done = blocked.run("--json")
    assert json.loads(done.stdout)["outcome"] == "swapped"
    assert "nudge failed: method env needs a restart to change the account" in done.stderr
    assert blocked.server.pids() == before
    assert {blocked.state()["sessions"][name]["account"] for name in POOL} == {"main"}


def test_a_crash_leaves_no_core_dump(blocked: Sandbox) -> None:
    """A hook shows the limit, which it inherits from the check."""
    shown = blocked.home / "limit"
    hook = blocked.home / "hook"
    hook.write_text(f"#!/bin/sh\ncat > /dev/null\nulimit -S -c > {shown}\n")
    hook.chmod(0o755)
    blocked.config["hooks"] = {"on_swap": [str(hook)]}
    blocked.save_config()
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]

    def generous() -> None:
        resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))

    subprocess.run(blocked.argv(), env=blocked.environ(), preexec_fn=generous, capture_output=True, check=True)
    assert shown.read_text().strip() == "0"
    assert hard != 0 or os.geteuid() != 0, "root may set any limit"
