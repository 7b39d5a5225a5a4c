"""`failoverctl` swap, pause, resume and reset, which use the same code path as a check."""

import json
import os
import shutil
import signal
import stat
import subprocess
from typing import Any

import pytest

from failover_oneshot.ctl.demo.sandbox import CTL
from failover_oneshot.state.store import StateStore
from tests.support.operator import STATES, ctl, environ, every_state, facts, huge, put_state, stamp
from tests.support.polling import poll
from tests.support.sandbox import NEIGHBOURS, POOL, Sandbox


def test_a_swap_by_hand_equals_the_swap_of_a_check(blocked: Sandbox) -> None:
    """Files, sessions, state and report are the same, also while paused and in a cooldown; it ends neither."""
    environ(blocked)
    blocked.set_state(paused={"since": stamp(hours=-1)}, last_failure={"at": stamp(seconds=-5), "reason": "r"})
    before = blocked.server.pids()
    dry = facts(blocked, "swap", "--dry-run")
    assert (dry["dry_run"], dry["swap"]) == (True, {"from": "main", "to": "backup"})
    assert blocked.server.pids() == before
    report = facts(blocked, "swap", "--to", "backup")
    assert report["swap"] == dry["swap"]
    assert [a["session"] for a in report["actions"]] == [a["session"] for a in dry["actions"]] == list(POOL)
    assert {name for name in before if before[name] != blocked.server.pids()[name]} == set(POOL)
    assert set(blocked.server.pids()) == {*POOL, *NEIGHBOURS}
    assert blocked.live() == ("fake-backup-1", "backup@example.invalid")
    state = blocked.state()
    assert (state["active_account"], state["swap_in_progress"], state["history"][-1]["outcome"]) == (
        "backup", None, "swapped",
    )  # fmt: skip
    assert state["sessions"]["ccl-auto-11"]["hit"]["acted_on"] is True, "law L3: no check may swap for it again"
    assert state["accounts"]["main"]["exhausted_until"], "the hit on the screen has the reset"
    assert blocked.check()["outcome"] == "paused"


def test_swapping_to_the_active_account_changes_no_byte(blocked: Sandbox) -> None:
    environ(blocked)
    before = blocked.fingerprint()
    done = ctl(blocked, "swap", "--to", "main")
    assert (done.returncode, done.stdout) == (0, "main is already the active account; nothing to do\n")
    lock = {str(blocked.state_file) + ".lock", str(blocked.state_file.parent), str(blocked.state_file.parent.parent)}
    assert {k: v for k, v in blocked.fingerprint().items() if k not in lock} == {
        k: v for k, v in before.items() if k not in lock
    }


def test_the_active_account_follows_the_live_credentials(blocked: Sandbox) -> None:
    """The operator has logged in by hand, so the state is out of date."""
    environ(blocked)
    blocked.set_state(active_account="backup")
    assert "main is already the active account" in ctl(blocked, "swap", "--to", "main").stdout
    assert facts(blocked, "swap", "--to", "backup")["swap"] == {"from": "main", "to": "backup"}


def test_an_unfinished_swap_is_completed_first(blocked: Sandbox) -> None:
    environ(blocked)
    blocked.config["accounts"].append({"name": "third", "store": str(blocked.stored("third"))})
    blocked.store("third")
    journal = {"started_at": stamp(minutes=-3), "from": "main", "to": "backup", "step": "save_back", "runs": 1}
    blocked.set_state(active_account="main", swap_in_progress=journal)
    done = ctl(blocked, "swap", "--to", "third")
    assert (done.returncode, "finished first" in done.stderr) == (1, True)
    assert blocked.state()["active_account"] == "backup"
    assert facts(blocked, "swap", "--to", "third")["swap"] == {"from": "backup", "to": "third"}


def test_the_next_check_completes_a_killed_swap_by_hand(blocked: Sandbox) -> None:
    """It is killed while it restarts the sessions; each is restarted once, and it stays one swap."""
    calls, hanging = blocked.server.folder / "calls", blocked.server.folder / "hanging"
    calls.write_text("")
    hang = f"{{ echo $$ > {hanging}; exec sleep 600; }}"
    binary = blocked.server.write_wrapper(
        f'echo >> {calls}; [ "$(wc -l < {calls})" -gt 4 ] && {hang}; exec "$tmux" "$@"'
    )
    plain = blocked.config["tmux"]
    blocked.config["tmux"] = {**plain, "binary": binary, "timeout": "1m"}
    before = blocked.server.pids()
    running = subprocess.Popen(
        [*CTL, "swap"], env=environ(blocked), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    client = poll(lambda: hanging.read_text() if hanging.exists() else "")
    running.kill()
    running.wait()
    os.kill(int(client), signal.SIGKILL)
    assert blocked.state()["swap_in_progress"]["step"] == "restart"
    between = blocked.server.pids()
    blocked.config["tmux"] = plain
    blocked.save_config()
    report = blocked.check()
    assert (report["outcome"], report["swap"]) == ("swapped", {"from": "main", "to": "backup"})
    after = blocked.server.pids()
    for name in POOL:
        assert before[name] != after[name]
        assert between[name] in {before[name], after[name]}, "restarted once"
    assert len(blocked.state()["history"]) == 1


def test_a_swap_waits_for_the_lock_of_a_check_and_gives_up(blocked: Sandbox) -> None:
    blocked.config["state"] = {"path": str(blocked.state_file), "lock_timeout": "100ms"}
    environ(blocked)
    with StateStore(blocked.state_file, 1).locked():
        for command in (["swap"], ["pause"], ["resume"], ["reset", "main"]):
            done = ctl(blocked, *command)
            assert (done.returncode, "run this again" in done.stderr) == (75, True)
        assert ctl(blocked, "swap", "--dry-run").returncode == 0, "it reads without the lock"
        assert ctl(blocked, "status").returncode == 0


def test_a_failed_swap_is_reported_and_rolled_back(blocked: Sandbox) -> None:
    environ(blocked)
    before = blocked.live()
    shutil.rmtree(blocked.stored("backup"))
    done = ctl(blocked, "swap")
    assert (done.returncode, "no account is free" in done.stderr) == (1, True)
    assert blocked.live() == before


def test_pause_and_resume(blocked: Sandbox) -> None:
    done = ctl(blocked, "pause", "--for", "2h", "--reason", "moving  sk-ant-FAKEFAKEFAKE\x1b[31m")
    assert (done.returncode, "until 20" in done.stdout) == (0, True)
    assert blocked.state()["paused"]["reason"] == "moving [redacted] [31m"
    assert stat.S_IMODE(blocked.state_file.stat().st_mode) == 0o600
    report = blocked.check()
    assert (report["outcome"], report["next_possible_at"]) == ("paused", blocked.state()["paused"]["until"])
    assert facts(blocked, "pause")["paused"]["until"] is None, "a second pause replaces the first"
    assert facts(blocked, "resume") == {"version": 1, "resumed": True}
    text = blocked.state_file.read_bytes()
    assert facts(blocked, "resume") == {"version": 1, "resumed": False}
    assert blocked.state_file.read_bytes() == text
    assert blocked.check()["outcome"] == "swapped"


@pytest.mark.parametrize("words", ["", "0", "-1h", "soon", "1y", "9" * 30 + "h", "0s"])
def test_a_pause_without_a_length_is_refused(sandbox: Sandbox, words: str) -> None:
    done = ctl(sandbox, "pause", f"--for={words}")
    assert done.returncode == 2
    assert not sandbox.state_file.exists()


def test_a_pause_longer_than_the_calendar_has_no_end(sandbox: Sandbox) -> None:
    assert facts(sandbox, "pause", "--for", "99999w")["paused"]["until"][:2] in {"39", None}
    assert ctl(sandbox, "status").returncode == 0


def test_reset_makes_an_account_free_again(blocked: Sandbox) -> None:
    blocked.set_state(
        active_account="main",
        accounts={
            "backup": {"exhausted_until": stamp(hours=1), "unusable": {"at": stamp(), "reason": "blank"}, "mine": 1},
            "gone": {"exhausted_until": stamp(hours=1)},
        },
    )
    assert blocked.check()["outcome"] == "waiting"
    done = ctl(blocked, "reset", "backup", "gone")
    assert done.returncode == 0
    assert "backup: free again, was exhausted until" in done.stdout
    assert "was unusable (blank)" in done.stdout
    assert "gone: free again, was exhausted" in done.stdout, "an account that left the config can be forgotten too"
    kept = blocked.state()["accounts"]["backup"]
    assert (kept["exhausted_until"], kept["unusable"], kept["mine"]) == (None, None, 1)
    assert ctl(blocked, "reset", "backup").stdout == "backup: nothing to forget\n"
    assert "ccl-auto-11, ccl-auto-12, ccl-auto-13 still showed its hit" in ctl(blocked, "reset", "main").stdout
    assert ctl(blocked, "reset", "nobody").returncode == 2
    assert blocked.check()["outcome"] == "swapped"


CHANGES = (["pause"], ["resume"], ["reset", "main"], ["swap"])


@every_state
@pytest.mark.parametrize("command", CHANGES, ids=lambda c: c[0])
def test_missing_broken_and_newer_states(sandbox: Sandbox, kind: str, command: list[str]) -> None:
    text, _, code = STATES[kind]
    put_state(sandbox, text)
    done = ctl(sandbox, *command)
    assert done.returncode == code, done.stdout + done.stderr
    kept = [path.read_text() for path in sandbox.state_file.parent.glob("state.json*") if path.suffix != ".lock"]
    assert text is None or text in kept, "the state was deleted"
    if code == 74:
        assert len(done.stderr.splitlines()) == 1
    if command == ["pause"] and code != 74:
        assert sandbox.check()["outcome"] == "paused"


@pytest.mark.parametrize("command", CHANGES, ids=lambda c: c[0])
def test_a_huge_state_is_kept_whole(sandbox: Sandbox, command: list[str]) -> None:
    put_state(sandbox, json.dumps(huge()))
    sandbox.config["state"] = {"path": str(sandbox.state_file), "history": 20_000}
    assert ctl(sandbox, *command).returncode == 0
    state: dict[str, Any] = sandbox.state()
    assert len(state["history"]) == 10_000 + (command == ["swap"])
    assert len(state["sessions"]) == 500


def test_a_state_that_cannot_be_read(sandbox: Sandbox) -> None:
    """It ends with one line and exit 74. The state is a circular link, because root can read anything else."""
    sandbox.state_file.parent.mkdir()
    sandbox.state_file.symlink_to(sandbox.state_file)
    for command in (*CHANGES, ["status"], ["accounts"]):
        done = ctl(sandbox, *command)
        assert (done.returncode, len(done.stderr.splitlines()), done.stdout) == (74, 1, ""), done.stderr
    assert {path.name for path in sandbox.state_file.parent.iterdir()} <= {"state.json", "state.json.lock"}


def test_a_wrong_config_is_every_problem_and_exit_78(sandbox: Sandbox) -> None:
    sandbox.config["quota"] = {"pool_treshold": 2}
    for command in (*CHANGES, ["status"], ["accounts"]):
        done = ctl(sandbox, *command)
        assert (done.returncode, "pool_threshold" in done.stderr) == (78, True)
