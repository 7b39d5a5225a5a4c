"""The main job, end to end: the real program on a real tmux server with throwaway accounts."""

import json
import re
import stat
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from failover_oneshot.ctl.demo.sandbox import MACHINE, MARK, credentials, identity
from tests.support.sandbox import NEIGHBOURS, POOL, Sandbox, hit_screen


def test_exactly_the_pool_moves_to_the_backup_account(blocked: Sandbox) -> None:
    before = blocked.server.pids()
    report = blocked.check()
    after = blocked.server.pids()

    assert report["outcome"] == "swapped"
    assert report["swap"] == {"from": "main", "to": "backup"}
    assert [a["session"] for a in report["actions"]] == list(POOL)
    assert {name for name in before if before[name] != after[name]} == set(POOL)
    assert set(after) == {*POOL, *NEIGHBOURS}

    assert blocked.live() == ("fake-backup-1", "backup@example.invalid")
    kept = json.loads((blocked.stored("main") / ".credentials.json").read_bytes())
    assert kept["claudeAiOauth"] == credentials("main", 2)["claudeAiOauth"], "the refreshed token is in its store"
    live = json.loads((blocked.claude / ".credentials.json").read_bytes())
    assert live["mcpOAuth"] == MACHINE["mcpOAuth"], "keys of the machine do not move"
    assert json.loads((blocked.home / ".claude.json").read_bytes())["numStartups"] == 7
    for path in (blocked.claude / ".credentials.json", blocked.state_file, *blocked.stored("main").iterdir()):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    leftovers = [p.name for p in blocked.home.rglob("*") if p.name.endswith(".lock") or "tmp" in p.name]
    assert leftovers == []

    state = blocked.state()
    assert (state["active_account"], state["swap_in_progress"]) == ("backup", None)
    assert state["accounts"]["main"]["exhausted_until"] == report["sessions"][0]["resets_at"]
    assert state["sessions"]["ccl-auto-11"]["hit"]["acted_on"] is True
    assert state["history"][-1]["outcome"] == "swapped"

    again = blocked.check()
    assert again["outcome"] == "cooldown"
    until = datetime.fromisoformat(again["next_possible_at"]) - datetime.fromisoformat(state["last_swap"]["at"])
    assert until == timedelta(minutes=10)
    assert re.fullmatch(r"cooldown: (?:10m|9m\S+) left \(until \d\d:\d\dZ\)\n", blocked.run().stdout)


def test_a_dry_run_reports_the_same_and_changes_no_byte(blocked: Sandbox) -> None:
    blocked.save_config()
    before = blocked.fingerprint()
    dry = blocked.check("--dry-run")
    assert blocked.fingerprint() == before
    real = blocked.check()
    same = ("outcome", "reason", "swap", "blocked_pool", "sessions", "active_account")
    drop = {"first_seen": None}
    for one in (*dry["sessions"], *real["sessions"]):
        one.update(drop)
    assert {key: dry[key] for key in same} == {key: real[key] for key in same}
    assert [(a["action"], a["session"]) for a in dry["actions"]] == [
        (a["action"], a["session"]) for a in real["actions"]
    ]


def test_a_redrawn_old_hit_stays_handled(blocked: Sandbox) -> None:
    """After `recreate` the session shows the same screen; no check may swap for it, even after the cooldown."""
    blocked.check()
    past = f"{datetime.now(UTC) - timedelta(minutes=11):%Y-%m-%dT%H:%M:%SZ}"
    blocked.set_state(last_swap={**blocked.state()["last_swap"], "at": past})
    for _ in range(3):
        report = blocked.check()
        assert (report["outcome"], report["blocked_pool"]) == ("ok", 0)
        assert {s["stale"] for s in report["sessions"]} == {True}


def test_no_server_is_no_sessions_and_starts_none(sandbox: Sandbox) -> None:
    report = sandbox.check()
    assert report["outcome"] == "no_sessions"
    assert not sandbox.server.socket.exists()


def test_two_plain_hits_without_a_reset_need_two_checks_in_a_row(sandbox: Sandbox) -> None:
    sandbox.config["quota"] = {"poll_interval": "10m"}
    for name in POOL[:2]:
        sandbox.server.show(name, "error: usage limit reached")
    assert sandbox.check()["outcome"] == "suspected"
    assert sandbox.check()["outcome"] == "suspected", "this check comes too soon to confirm"
    since = datetime.fromisoformat(sandbox.state()["suspected_hit_at"]) - timedelta(minutes=10)
    sandbox.set_state(suspected_hit_at=since.isoformat())
    assert sandbox.check()["outcome"] == "swapped"
    assert sandbox.state()["suspected_hit_at"] is None


def test_one_blocked_pool_session_is_too_few_and_one_dedicated_enough(sandbox: Sandbox) -> None:
    sandbox.server.show("ccl-auto-11", hit_screen())
    assert sandbox.check()["outcome"] == "ok"
    sandbox.server.show("ops", hit_screen())
    before = sandbox.server.pids()["ops"]
    report = sandbox.check()
    assert (report["outcome"], report["blocked_dedicated"]) == ("swapped", 1)
    assert sandbox.server.pids()["ops"] == before, "without after_swap a dedicated session is not touched"


def test_when_all_accounts_are_exhausted_the_first_free_one_is_used(blocked: Sandbox) -> None:
    soon = f"{datetime.now(UTC) + timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}"
    blocked.set_state(active_account="main", accounts={"backup": {"exhausted_until": soon}})
    before = blocked.server.pids()
    report = blocked.check()
    assert (report["outcome"], report["next_possible_at"]) == ("waiting", soon)
    assert blocked.state()["waiting"]["account"] == "backup"
    assert blocked.server.pids() == before
    assert blocked.live()[1] == "main@example.invalid"
    past = f"{datetime.now(UTC) - timedelta(seconds=1):%Y-%m-%dT%H:%M:%SZ}"
    blocked.set_state(accounts={**blocked.state()["accounts"], "backup": {"exhausted_until": past}})
    assert blocked.check()["outcome"] == "swapped"


def test_if_the_active_account_is_free_first_its_sessions_restart(blocked: Sandbox) -> None:
    late = f"{datetime.now(UTC) + timedelta(days=2):%Y-%m-%dT%H:%M:%SZ}"
    blocked.set_state(active_account="main", accounts={"backup": {"exhausted_until": late}})
    assert blocked.check()["outcome"] == "waiting"
    state = blocked.state()
    past = f"{datetime.now(UTC) - timedelta(seconds=1):%Y-%m-%dT%H:%M:%SZ}"
    for session in state["sessions"].values():
        session["hit"]["resets_at"] = past
    state["accounts"]["main"]["exhausted_until"] = past
    blocked.set_state(**state)
    before = blocked.server.pids()
    report = blocked.check()
    assert (report["outcome"], report["swap"]) == ("resumed", None)
    assert {name for name in before if before[name] != blocked.server.pids()[name]} == set(POOL)
    assert blocked.check()["outcome"] == "ok", "it resumed twice"


def test_the_daemons_configuration_observes_and_decides(blocked: Sandbox) -> None:
    blocked.config_file.write_text(
        "quota: {poll_interval: 30s, reactivate_cooldown: 10m}\n"
        "pool:\n  autonomous: {prefix: ccl-auto-, start_index: 11, min: 0, max: 10}\n  dedicated: [{name: ops}]\n"
        f"tmux: {{socket_path: {blocked.server.socket}}}\n"
    )
    before = blocked.server.pids()
    report = blocked.check()
    assert (report["outcome"], report["blocked_pool"], report["actions"]) == ("waiting", 3, [])
    assert "no accounts configured" in report["reason"]
    assert blocked.server.pids() == before


def breakage(sandbox: Sandbox, what: str) -> None:
    folder = sandbox.stored("backup")
    if what == "missing":
        folder.rename(folder.with_name("elsewhere"))
    elif what == "empty":
        for path in folder.iterdir():
            path.write_bytes(b"")
    elif what == "not JSON":
        (folder / ".credentials.json").write_bytes(b"\x00\xff{")
    elif what == "blank tokens":
        blank = credentials("backup")
        blank["claudeAiOauth"].update(accessToken="", refreshToken="")
        sandbox.write(folder / ".credentials.json", blank)
    elif what == "another's identity":
        sandbox.write(folder / "oauthAccount.json", identity("main"))


@pytest.mark.parametrize("what", ["missing", "empty", "not JSON", "blank tokens", "another's identity"])
def test_a_broken_store_is_reported_and_nothing_is_changed(blocked: Sandbox, what: str) -> None:
    breakage(blocked, what)
    before = blocked.server.pids(), blocked.live()
    report = blocked.check()
    assert report["outcome"] == "waiting"
    assert "backup is unusable" in report["reason"]
    assert (blocked.server.pids(), blocked.live()) == before


@pytest.mark.parametrize(
    ("content", "code", "outcome"),
    [(b"{", 65, "state_reset"), (b'{"version": 99}', 74, None), (b"", 65, "state_reset")],
)
def test_a_broken_state_swaps_nothing(blocked: Sandbox, content: bytes, code: int, outcome: str | None) -> None:
    blocked.state_file.parent.mkdir()
    blocked.state_file.write_bytes(content)
    before = blocked.server.pids(), blocked.live()
    done = blocked.run("--json")
    assert done.returncode == code
    assert (json.loads(done.stdout)["outcome"] if done.stdout else None) == outcome
    assert len(done.stderr.splitlines()) == 1
    assert (blocked.server.pids(), blocked.live()) == before
    if code == 65:
        assert blocked.check()["outcome"] == "swapped"


def test_a_state_folder_that_others_can_write_is_refused_in_one_line(blocked: Sandbox) -> None:
    blocked.check("--dry-run")
    blocked.state_file.parent.mkdir()
    blocked.state_file.parent.chmod(0o777)
    before = blocked.server.pids(), blocked.live()
    for flags in ((), ("--dry-run",)):
        done = blocked.run(*flags)
        assert (done.returncode, done.stdout) == (74, "")
        assert f"chmod go-w '{blocked.state_file.parent}'" in done.stderr
        assert len(done.stderr.splitlines()) == 1
    assert (blocked.server.pids(), blocked.live()) == before
    assert list(blocked.state_file.parent.iterdir()) == []


def test_a_clock_that_jumped_back_a_day_blocks_for_one_cooldown_only(blocked: Sandbox) -> None:
    ahead = f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%dT%H:%M:%SZ}"
    blocked.set_state(active_account="main", last_swap={"at": ahead, "from": "backup", "to": "main", "reason": ""})
    report = blocked.check()
    assert report["outcome"] == "cooldown"
    left = datetime.fromisoformat(report["next_possible_at"]) - datetime.now(UTC)
    assert left <= timedelta(minutes=10)
    assert datetime.fromisoformat(blocked.state()["last_swap"]["at"]) <= datetime.now(UTC), "still in the future"


def test_usage_version_and_missing_configuration(sandbox: Sandbox) -> None:
    assert sandbox.run("--nonsense").returncode == 2
    assert sandbox.run("--version").stdout.startswith("failover-check 0.")
    sandbox.config_file = sandbox.config_file.with_name("none.yaml")
    sandbox.config_file.unlink(missing_ok=True)

    done = sandbox.execute(sandbox.argv())
    assert done.returncode == 78
    assert len(done.stderr.splitlines()) == 1


def test_hanging_absent_and_failing_tmux(blocked: Sandbox) -> None:
    def with_tmux(**changes: Any) -> Any:
        blocked.config["tmux"] = {"socket_path": str(blocked.server.socket), **changes}
        blocked.save_config()
        return blocked.run()

    before = blocked.live()
    hanging = with_tmux(binary=blocked.server.write_wrapper("exec sleep 600"), timeout="200ms")
    assert (hanging.returncode, "again" in hanging.stderr) == (75, True)
    failing = with_tmux(binary=blocked.server.write_wrapper("echo 'cosmic rays' >&2; exit 1"))
    assert (failing.returncode, "cosmic rays" in failing.stderr) == (69, True)
    absent = with_tmux(binary="/nonexistent/tmux")
    assert absent.returncode == 69
    assert blocked.live() == before
    assert not blocked.state_file.exists()
    for done in (hanging, failing, absent):
        assert len(done.stderr.splitlines()) == 1


def test_lifecycle_starts_the_pool_up_to_min_from_nothing(sandbox: Sandbox) -> None:
    sandbox.config["pool"]["autonomous"].update(min=3, command="exec sleep 600")
    report = sandbox.check()
    assert report["outcome"] == "no_sessions"
    assert [a["session"] for a in report["actions"]] == list(POOL)
    assert sandbox.server.names() == set(POOL)
    assert sandbox.check()["actions"] == []


@pytest.mark.parametrize("flag", ["-q", "-v", None])
def test_one_summary_line_on_stdout(blocked: Sandbox, flag: str | None) -> None:
    done = blocked.run(*([flag] if flag else []))
    assert len(done.stdout.splitlines()) == (0 if flag == "-q" else 1)
    assert MARK not in done.stdout + done.stderr + blocked.state_file.read_text(), "law L4"
    assert not any(line.startswith("<") for line in done.stderr.splitlines())
