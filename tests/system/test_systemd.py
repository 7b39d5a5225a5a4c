"""The shipped units under a real user manager: what the timer starts, and what outlives the check."""

import shutil
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from failover_oneshot.ctl.demo.sandbox import Sandbox
from tests.support.paths import DEPLOY
from tests.support.polling import poll
from tests.support.tmux_server import Server
from tests.support.user_manager import UNLIMITED, UserManager, program


def test_the_service_runs_with_the_settings_of_the_unit(manager: UserManager) -> None:
    """Timer and shell share one state, programs in ~/.local/bin are found, the locale is UTF-8, files are private."""
    program(manager, 'env; touch "$HOME/touched"')
    manager.systemctl("start", "failover.service")
    seen = dict(line.split("=", 1) for line in (manager.folder / "out").read_text().splitlines())
    assert seen["HOME"] == str(manager.home)
    assert "STATE_DIRECTORY" not in seen
    assert seen["PATH"].split(":")[0] == str(manager.home / ".local/bin")
    assert seen["LANG"] == "C.UTF-8"
    assert stat.S_IMODE((manager.home / "touched").stat().st_mode) == 0o600


def test_exit_75_is_not_a_failure(manager: UserManager) -> None:
    """Exit 75 does not make the unit fail, exit 1 does."""
    for code, result in ((75, "success"), (1, "exit-code")):
        program(manager, f"exit {code}")
        done = manager.systemctl("start", "failover.service", check=False)
        assert (done.returncode == 0) == (result == "success")
        assert manager.property("failover.service", "Result") == result


def test_the_timer_goes_on_after_failures_and_its_own_restart(manager: UserManager) -> None:
    """It keeps firing with any exit code of the check, and after a restart of the timer."""
    out = manager.folder / "out"
    program(manager, "echo ran; exit 1")
    manager.systemctl("start", "failover.timer")
    poll(lambda: out.exists() and out.read_text().count("ran") >= 3)
    manager.systemctl("restart", "failover.timer")
    before = out.read_text().count("ran")
    poll(lambda: out.read_text().count("ran") >= before + 3)


def test_daemon_and_timer_never_run_side_by_side(manager: UserManager) -> None:
    """The drop-in of docs/migration.md is installed."""
    daemon, timer = "claude-failover.service", "failover.timer"
    (manager.units / daemon).write_text("[Service]\nExecStart=/bin/sleep 600\n")
    manager.drop_in(timer, (DEPLOY / "not-beside-the-daemon.conf").read_text())

    def active() -> list[str]:
        return [unit for unit in (daemon, timer) if manager.property(unit, "ActiveState") == "active"]

    for unit in (daemon, timer, daemon):
        manager.systemctl("start", unit)
        assert active() == [unit]
    manager.systemctl("stop", daemon)
    (manager.units / daemon).unlink()


@pytest.mark.parametrize(("kill_mode", "alive"), [("", True), ("KillMode=control-group", False)])
def test_a_server_that_the_check_started_outlives_it(manager: UserManager, kill_mode: str, alive: bool) -> None:
    """This holds with the shipped unit; with systemd's default every session would die."""
    if kill_mode:
        manager.drop_in("failover.service", f"[Service]\n{kill_mode}\n")
    socket = manager.folder / "own"
    tmux = ["tmux", "-f", "/dev/null", "-S", str(socket)]
    program(manager, f"{' '.join(tmux)} new-session -d -s a cat")
    manager.systemctl("start", "failover.service")
    poll(lambda: manager.property("failover.service", "ActiveState") == "inactive")
    found = subprocess.run([*tmux, "-N", "list-sessions", "-F", "#S"], check=False, capture_output=True, text=True)
    assert found.stdout == ("a\n" if alive else "")
    if alive:
        subprocess.run([*tmux, "-N", "kill-server"], check=True)


@pytest.mark.parametrize("unit", ["as shipped", "hardened"])
def test_timer_fires_the_check_and_sessions_survive(manager: UserManager, server: Server, unit: str) -> None:
    """The whole product: the pool is blocked, the timer fires, the account is swapped, and all sessions stay alive."""
    sandbox = Sandbox(manager.folder, server)
    home, agents = sandbox.home, sandbox.agents
    assert home == manager.home
    shutil.rmtree(home / ".local/state", ignore_errors=True)
    agents.log.unlink(missing_ok=True)
    if unit == "hardened":
        hardened = (DEPLOY / "failover-hardened.conf").read_text()
        manager.drop_in("failover.service", UNLIMITED.format(manager.folder / "out") + hardened)
    agents.exhaust(main=datetime.now(UTC) + timedelta(hours=2))
    (home / "work").mkdir(exist_ok=True)
    sandbox.config_file = home / ".config/failover/failover.yaml"
    sandbox.state_file = home / ".local/state/failover/state.json"
    sandbox.config["quota"] = {"poll_interval": "1s"}
    sandbox.config["pool"]["autonomous"].update(max=4, min=4, command=agents.command("new one"))
    sandbox.save_config()
    program(manager, f'exec {sys.executable} -m failover_oneshot "$@"')

    tmux = server.tmux

    def panes() -> dict[str, str]:
        found = tmux("list-panes", "-a", "-F", "#{session_name} #{pane_pid} #{pane_dead}").splitlines()
        assert all(line.endswith(" 0") for line in found), found
        return {name: pid for name, pid, _ in (line.split() for line in found)}

    pool = ["ccl-auto-11", "ccl-auto-12", "ccl-auto-13"]
    try:
        for name in ["ccl-0", *pool, "ccl-auto-1", "ccl-auto-110"]:
            server.start(name, agents.command(f"work of {name}"), folder=home / "work")
        poll(lambda: len(agents.messages(account="main", result="hit")) == 6)
        poll(lambda: all("You've hit your" in server.screen(name) for name in pool))
        before = panes()

        manager.systemctl("enable", "--now", "failover.timer")
        out = manager.folder / "out"

        def outcome(name: str) -> bool:
            return bool((sandbox.state().get("last_check") or {}).get("outcome") == name)

        try:
            poll(lambda: outcome("cooldown"), seconds=30)  # a later check, so the one that swapped has ended
        except AssertionError as error:
            raise AssertionError(out.read_text() if out.exists() else "it never ran") from error
        manager.systemctl("stop", "failover.timer")
        poll(lambda: manager.property("failover.service", "ActiveState") == "inactive")

        assert sandbox.state()["active_account"] == sandbox.live_account() == "backup"
        # each pool session, and the fourth one, which `min` requires
        poll(lambda: len(agents.messages(account="backup", result="reply")) == 4)
        after = panes()
        assert sorted(after) == sorted([*before, "ccl-auto-14"])
        assert {name for name in before if after[name] == before[name]} == {"ccl-0", "ccl-auto-1", "ccl-auto-110"}
    finally:
        tmux("kill-server")
