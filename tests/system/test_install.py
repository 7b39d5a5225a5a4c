"""`failoverctl install` and `uninstall` under a real user manager."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from failover_oneshot.ctl.demo.sandbox import CTL
from failover_oneshot.ctl.systemd.units import SERVICE, TIMER
from tests.support.polling import poll
from tests.support.user_manager import UserManager

CONFIG = "accounts: []\n"


@pytest.fixture
def manager(user_manager: UserManager) -> Iterator[UserManager]:
    """A user manager whose home has a configuration, and nothing installed."""
    config = user_manager.home / ".config/failover/failover.yaml"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(CONFIG)
    yield user_manager
    user_manager.systemctl("disable", "--now", TIMER, check=False)
    shutil.rmtree(user_manager.units)
    user_manager.units.mkdir()
    user_manager.systemctl("daemon-reload")


def ctl(manager: UserManager, *argv: str, code: int = 0) -> str:
    done = manager.run(*CTL, *argv, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def files(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {str(p): (p.read_bytes(), p.stat().st_mtime_ns) for p in folder.rglob("*") if p.is_file()}


def test_installed_the_timer_runs_this_check_in_this_home(manager: UserManager) -> None:
    """The timer runs a check with the program of this installation."""
    ctl(manager, "install")
    assert manager.property(TIMER, "UnitFileState") == "enabled"
    assert manager.property(TIMER, "ActiveState") == "active"
    assert f"path={Path(sys.executable).parent / 'failover-check'} " in manager.property(SERVICE, "ExecStart")
    state = manager.home / ".local/state/failover/state.json"
    manager.systemctl("start", SERVICE)
    assert json.loads(state.read_text())["last_check"]["outcome"]


def test_a_dry_run_shows_all_and_changes_nothing(manager: UserManager) -> None:
    before = files(manager.home)
    said = ctl(manager, "install", "--dry-run")
    for words in (f"would write {manager.units / SERVICE}", "enable failover.timer", "daemon-reload", "enable-linger"):
        assert words in " ".join(said.split())
    assert files(manager.home) == before
    assert manager.property(TIMER, "LoadState") == "not-found"


def test_a_second_install_does_nothing(manager: UserManager) -> None:
    """No file is written and the timer is not restarted, so its next check comes at the same time."""
    ctl(manager, "install")
    before, started = files(manager.units), manager.property(TIMER, "ActiveEnterTimestampMonotonic")
    done = manager.run(*CTL, "install", "--json")
    assert {step["step"] for step in json.loads(done.stdout)["steps"]} == {"none"}
    assert files(manager.units) == before
    assert manager.property(TIMER, "ActiveEnterTimestampMonotonic") == started


def test_the_timer_uses_the_same_files_as_the_shell(manager: UserManager) -> None:
    """The manager does not have the shell's variables, so the unit contains those that differ."""
    other = manager.home / "my configs/failover.yaml"
    other.parent.mkdir(exist_ok=True)
    other.write_text(CONFIG)
    shell = [f"XDG_STATE_HOME={manager.home}/states", f"FAILOVER_CONFIG={other}", f"TMUX_TMPDIR={manager.folder}"]
    done = manager.run("env", *shell, *CTL, "install")
    assert done.returncode == 0
    manager.systemctl("start", SERVICE)
    assert (manager.home / "states/failover/state.json").exists()
    for line in json.loads(manager.run("env", *shell, *CTL, "doctor", "--json", check=False).stdout)["lines"]:
        assert line["topic"] != "timer" or line["level"] == "ok", line
    assert sum("this command the default" in line["text"] for line in doctor_lines(manager)) == 3


def test_a_changed_interval_reaches_the_running_timer(manager: UserManager) -> None:
    ctl(manager, "install")
    (manager.home / ".config/failover/failover.yaml").write_text("quota: {poll_interval: 45s}\n")
    ctl(manager, "install")
    assert "OnUnitInactiveUSec=45s" in manager.property(TIMER, "TimersMonotonic")
    assert manager.property(TIMER, "ActiveState") == "active"


def test_a_unit_changed_by_hand_is_kept_as_a_copy(manager: UserManager) -> None:
    manager.units.joinpath(SERVICE).write_text("[Service]\nExecStart=/bin/true\n# by hand\n")
    assert "kept as failover.service.bak" in " ".join(ctl(manager, "install").split())
    assert "by hand" in manager.units.joinpath(f"{SERVICE}.bak").read_text()
    ctl(manager, "install")
    assert "by hand" in manager.units.joinpath(f"{SERVICE}.bak").read_text()


def test_the_target_of_a_linked_unit_is_not_changed(manager: UserManager) -> None:
    """`systemctl --user link` makes such links to files of a checkout."""
    target = manager.home / "theirs.service"
    target.write_text("[Service]\nExecStart=/bin/true\n")
    manager.units.joinpath(SERVICE).symlink_to(target)
    assert "is a link to" in ctl(manager, "install", code=1)
    assert target.read_text() == "[Service]\nExecStart=/bin/true\n"


def test_the_doctor_finds_the_timers_problems(manager: UserManager) -> None:
    """Each problem of the timer is reported, and the fix that is named works."""

    def told() -> dict[str, tuple[str, str]]:
        lines = [line for line in doctor_lines(manager) if line["topic"] in ("timer", "cadence")]
        return {line["topic"]: (line["level"], line["fix"]) for line in lines}

    assert told()["timer"] == ("error", "failoverctl install")
    ctl(manager, "install")
    manager.systemctl("start", SERVICE)
    assert told() == {"timer": ("ok", ""), "cadence": ("ok", "")}
    (manager.home / ".config/failover/failover.yaml").write_text("quota: {poll_interval: 5m}\n")
    interval = next(line for line in doctor_lines(manager) if "poll_interval" in line["text"])
    assert (interval["level"], interval["fix"]) == ("error", "failoverctl install")
    ctl(manager, "install")
    assert told()["cadence"] == ("ok", "")
    manager.systemctl("stop", TIMER)
    assert told()["timer"] == ("error", f"systemctl --user start {TIMER}")


def doctor_lines(manager: UserManager) -> list[dict[str, str]]:
    lines: list[dict[str, str]] = json.loads(manager.run(*CTL, "doctor", "--json", check=False).stdout)["lines"]
    return lines


def test_uninstall_removes_what_install_added(manager: UserManager) -> None:
    ctl(manager, "install")
    before = files(manager.home)
    ctl(manager, "uninstall", "--dry-run")
    assert files(manager.home) == before
    manager.drop_in(TIMER, "[Timer]\nAccuracySec=2s\n")
    assert "drop-ins" in ctl(manager, "uninstall")
    assert sorted(p.name for p in manager.units.rglob("*") if not p.is_dir()) == ["test.conf"]
    poll(lambda: manager.property(TIMER, "ActiveState") == "inactive")
    assert "does not exist" in ctl(manager, "uninstall")
    assert (manager.home / ".config/failover/failover.yaml").read_text() == CONFIG


def test_uninstall_keeps_other_units(manager: UserManager) -> None:
    manager.units.joinpath(SERVICE).write_text("[Service]\nExecStart=/bin/true\n")
    assert "left alone" in ctl(manager, "uninstall")
    assert manager.units.joinpath(SERVICE).exists()


def test_a_wrong_configuration_is_not_installed(manager: UserManager) -> None:
    (manager.home / ".config/failover/failover.yaml").write_text("pools: {}\n")
    assert "did you mean" in ctl(manager, "install", code=78)
    assert not manager.units.joinpath(TIMER).exists()


def test_without_a_user_manager_it_explains_what_to_do(tmp_path: Path) -> None:
    """It ends with exit 69 and one text, and writes no file."""
    config = tmp_path / ".config/failover/failover.yaml"
    config.parent.mkdir(parents=True)
    config.write_text(CONFIG)
    env = {"HOME": str(tmp_path), "PATH": os.environ["PATH"], "XDG_RUNTIME_DIR": str(tmp_path / "none")}
    done = subprocess.run([*CTL, "install"], env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, "no systemd user manager available" in done.stderr) == (69, True)
    assert "cron" in done.stderr
    assert not (tmp_path / ".config/systemd").exists()


def lines(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#"))
