"""`failoverctl status`: the real program, also in a real terminal."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from failover_oneshot.ctl.demo.sandbox import CTL
from tests.support.operator import STATES, ctl, every_state, facts, huge, in_pane, put_state, screen, stamp
from tests.support.polling import poll
from tests.support.sandbox import Sandbox, hit_screen
from tests.support.user_manager import UserManager, program


def test_it_predicts_the_next_check_and_changes_nothing(blocked: Sandbox) -> None:
    facts(blocked, "status")  # the config is saved now
    before = blocked.fingerprint()
    seen = facts(blocked, "status")
    assert blocked.fingerprint() == before
    assert (seen["next"]["outcome"], seen["next"]["to"], seen["blocked_pool"]) == ("swapped", "backup", 3)
    assert [(s["name"], s["kind"], s["counted"]) for s in seen["sessions"]] == [
        (f"ccl-auto-{n}", "quota", True) for n in (11, 12, 13)
    ]
    assert blocked.check()["swap"] == {"from": "main", "to": seen["next"]["to"]}
    after = facts(blocked, "status")
    assert (after["active_account"], after["next"]["outcome"], after["last_check"]["outcome"]) == (
        "backup", "cooldown", "swapped",
    )  # fmt: skip
    assert {s["stale"] for s in after["sessions"]} == {True}
    assert after["accounts"][0]["state"] == "exhausted"


def test_the_text_covers_every_situation(blocked: Sandbox) -> None:
    journal = {
        "started_at": stamp(minutes=-3),
        "kind": "swap",
        "from": "main",
        "to": "backup",
        "step": "restart",
        "runs": 2,
    }
    situations: list[tuple[dict[str, Any], str]] = [
        ({}, "would swap to backup: 3 of 3 pool sessions hit"),
        ({"paused": {"since": stamp(hours=-1), "until": stamp(hours=1), "reason": "dinner"}}, "dinner"),
        ({"last_failure": {"at": stamp(minutes=-2), "reason": "no stores"}}, "no stores"),
        ({"waiting": {"since": stamp(hours=-1), "account": "main", "until": stamp(hours=1), "checks": 7}}, "Waiting"),
        ({"suspected_hit_at": stamp(seconds=-20)}, "Suspected"),
        ({"swap_in_progress": journal}, "at step restart"),
        ({"active_account": "backup"}, "live credentials belong to main, the state says backup"),
        ({"accounts": {"backup": {"unusable": {"at": stamp(hours=-1), "reason": "blank"}}}}, "failed 1h ago: blank"),
    ]
    fields = ("paused", "last_failure", "waiting", "suspected_hit_at", "swap_in_progress")
    blank: dict[str, Any] = {"active_account": "main", "accounts": {}, **dict.fromkeys(fields)}
    for state, words in situations:
        blocked.set_state(**{**blank, **state})
        text = " ".join(ctl(blocked, "status").stdout.split())
        assert words in text, text


def test_tasks_are_counted_and_their_records_are_not(sandbox: Sandbox, tmp_path: Path) -> None:
    queue = tmp_path / "spool" / "queue"
    queue.mkdir(parents=True)
    for name in ("one", "two", "one.task.json", ".half"):
        (queue / name).write_text("{}")
    sandbox.config["dispatch"] = {"spool": str(tmp_path / "spool")}
    assert facts(sandbox, "status")["tasks"] == {"waiting": 2, "running": 0, "failed": 0}
    assert "Tasks         2 queued" in ctl(sandbox, "status").stdout


def test_without_tmux_the_state_is_shown(blocked: Sandbox) -> None:
    blocked.check()
    blocked.config["tmux"]["binary"] = "/nonexistent/tmux"
    done = ctl(blocked, "status")
    assert (done.returncode, "cannot read the sessions" in done.stdout, "ccl-auto-11" in done.stdout) == (0, True, True)


@every_state
def test_missing_broken_and_newer_states(sandbox: Sandbox, kind: str) -> None:
    text, code, _ = STATES[kind]
    put_state(sandbox, text)
    done = ctl(sandbox, "status")
    assert done.returncode == code
    assert len(done.stderr.splitlines()) == (code == 74)
    assert code == 74 or "no watched session is running" in done.stdout
    assert not list(sandbox.state_file.parent.glob("*corrupt*")), "status moved the state"


def test_a_huge_state_is_summed_up(sandbox: Sandbox) -> None:
    sandbox.config["pool"]["autonomous"].update(start_index=0, max=600)
    put_state(sandbox, json.dumps(huge()))
    done = ctl(sandbox, "status")
    assert (done.returncode, len(done.stdout.splitlines()) < 20) == (0, True)
    assert "500 no longer running" in done.stdout
    assert len(ctl(sandbox, "status", "--all").stdout.splitlines()) < 520
    assert len(facts(sandbox, "status")["sessions"]) == 500


def test_many_sessions_are_counted_and_only_problems_are_listed(sandbox: Sandbox) -> None:
    for number in range(11, 41):
        sandbox.server.start(f"ccl-auto-{number}")
    sandbox.server.show("ops", hit_screen())
    sandbox.config["pool"]["autonomous"]["max"] = 40
    text = ctl(sandbox, "status").stdout
    assert "31 sessions: 30 ok, 1 quota (--all shows each)" in text
    assert re.search(r"ops +quota, counted", text)
    assert "ccl-auto-11 " not in text
    assert "ccl-auto-11 " in ctl(sandbox, "status", "--all").stdout


@pytest.mark.parametrize("width", [80, 200])
def test_watch_in_a_real_terminal(blocked: Sandbox, width: int) -> None:
    """It fits, has color, is redrawn when something changes, and restores the screen at the end."""
    name = in_pane(blocked, "status", "--watch", "--interval", "100ms", width=width)
    lines = screen(blocked, name, "would swap to backup")
    assert max(map(len, lines)) <= width
    assert lines[-1] == "" or "Ctrl-C" in "".join(lines)
    assert "\x1b[" in "\n".join(screen(blocked, name, "Ctrl-C", "-e"))
    blocked.check()
    screen(blocked, name, "cooldown: 9m")
    blocked.server.tmux("resize-window", "-t", f"={name}:", "-x", str(width - 20), "-y", "10")
    good = blocked.config_file.read_text()
    blocked.config_file.write_text("quota: {")
    screen(blocked, name, "Error")
    blocked.config_file.write_text(good)
    small = screen(blocked, name, "more lines")
    assert (len(small), small[0].startswith("Next check"), "Ctrl-C" in small[-1]) == (10, True, True)
    blocked.server.tmux("send-keys", "-t", f"={name}:", "C-c")
    poll(lambda: not any("ACCOUNT" in line for line in screen(blocked, name, "")))


def test_no_color_and_no_terminal_mean_no_escape(blocked: Sandbox) -> None:
    assert "\x1b" not in ctl(blocked, "status").stdout
    name = in_pane(blocked, "status", width=100, NO_COLOR="1")
    assert "\x1b" not in "\n".join(screen(blocked, name, "ccl-auto-13", "-e"))


def test_the_timers_next_run_comes_from_systemd(manager: UserManager) -> None:
    """The real timer is waiting, running and stopped."""
    config = manager.folder / "failover.yaml"
    config.write_text(
        json.dumps({"state": {"path": str(manager.folder / "state.json")}, "tmux": {"socket_path": "/x"}})
    )

    def told() -> dict[str, Any]:
        done = manager.run(*CTL, "status", "--json", "--config", str(config))
        found: dict[str, Any] = json.loads(done.stdout)["timer"]
        return found

    manager.drop_in("failover.timer", "[Timer]\nOnActiveSec=\nOnActiveSec=30min\n")
    program(manager, "exec sleep 60")
    manager.systemctl("start", "failover.timer")
    waits = told()
    assert (waits["active"], waits["running"], 1500 < waits["next_in"] <= 1800) == (True, False, True)
    manager.systemctl("start", "--no-block", "failover.service")
    poll(lambda: told()["running"])
    manager.systemctl("stop", "failover.timer", "failover.service")
    assert (told()["active"], "enable --now" in told()["note"]) == (False, True)


def test_it_needs_no_accounts(blocked: Sandbox) -> None:
    blocked.config["accounts"] = []
    done = ctl(blocked, "status")
    assert "checks only observe" in done.stdout
    shutil.rmtree(Path(blocked.claude))
    assert ctl(blocked, "status").returncode == 0
