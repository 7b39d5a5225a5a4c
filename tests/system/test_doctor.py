"""`failoverctl doctor`: each thing that can be amiss is found, and mended by what it says."""

import fcntl
import json
import os
import shlex
import shutil
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from failover_oneshot.config.model import Autonomous, Config, Dedicated, Pool
from failover_oneshot.ctl.demo.sandbox import MARK
from failover_oneshot.ctl.doctor import rules
from failover_oneshot.ctl.doctor.machine import interval
from failover_oneshot.ctl.doctor.rules import Level, Line, Watched
from failover_oneshot.ctl.systemd.units import View
from failover_oneshot.model import Outcome
from failover_oneshot.state.model import Journal, LastCheck, Pause, State, Step, Trouble
from tests.support.builders import NOW, at, make_config
from tests.support.paths import PANES
from tests.support.polling import poll
from tests.support.sandbox import Sandbox


def levels(lines: list[Line]) -> list[str]:
    return [line.level.value for line in lines]


# -- the judgement -------------------------------------------------------------------------------------------------


def test_the_exit_code_is_the_worst_line() -> None:
    ok, warning, error = (Line("x", level, "") for level in Level)
    assert [rules.exit_code(lines) for lines in ([], [ok], [ok, warning], [error, warning, ok])] == [0, 0, 1, 2]


@pytest.mark.parametrize(
    ("printed", "level"),
    [("tmux 3.3a", "ok"), ("tmux 3.2", "ok"), ("tmux 2.9a", "warning"), ("tmux next-3.6", "ok"), ("tmux master", "ok")],
)
def test_tmux_versions(printed: str, level: str) -> None:
    assert rules.tmux_version(printed).level == level


def pool(**changes: Any) -> Config:
    autonomous = Autonomous(prefix="ccl-auto-", start_index=11, max=3, **changes)
    return Config(pool=Pool(autonomous=autonomous, dedicated=(Dedicated(name="ops"),)))


def run_names(*names: str, restartable: bool = True) -> list[Watched]:
    index = {"ccl-auto-11": 11, "ccl-auto-12": 12}
    return [Watched(name=name, index=index.get(name), restartable=restartable) for name in names]


@pytest.mark.parametrize(
    ("config", "running", "expected"),
    [
        (pool(), run_names("ccl-auto-11", "ops", "ccl-0"), ["ok"]),
        (pool(), run_names("ops"), ["warning: none runs"]),
        (pool(), run_names("ccl-auto-11"), ["ok", "warning: the dedicated session ops does not run"]),
        (pool(), run_names("ccl-auto-11", "ccl-auto-110", "ops"), ["ok", "warning: outside of the range"]),
        (pool(min=3), run_names("ccl-auto-11", "ops"), ["ok", "warning: 1 of at least 3 run"]),
        (pool(), run_names("ccl-auto-11", "ops", restartable=False), ["ok", "warning: a swap would turn these into"]),
        (pool(command="claude"), run_names("ccl-auto-11", "ops", restartable=False), ["ok"]),
    ],
)
def test_the_range_against_what_runs(config: Config, running: list[Watched], expected: list[str]) -> None:
    lines = list(rules.pool_range(config, running))
    assert len(lines) == len(expected), lines
    for line, words in zip(lines, expected, strict=True):
        level, _, text = words.partition(": ")
        assert line.level == level
        assert text in line.text


@pytest.mark.parametrize(
    ("seconds", "level"),
    [(30, "ok"), (32, "ok"), (20, "warning"), (60, "warning"), (10, "error"), (120, "error"), (None, "ok")],
)
def test_the_timers_interval_against_the_configs(seconds: float | None, level: str) -> None:
    """Outside of half to three times poll_interval no suspicion is confirmed (docs/behavior.md, "Confirmation")."""
    assert rules.cadence(make_config(), seconds).level == level


@pytest.mark.parametrize(
    ("printed", "seconds"),
    [
        ("{ OnActiveUSec=15s ; next_elapse=1 }\n{ OnUnitInactiveUSec=1min 30s ; next_elapse=2 }", 90),
        ("{ OnUnitActiveUSec=30s ; next_elapse=2 }", 30),
        ("", None),
    ],
)
def test_the_interval_as_systemctl_prints_it(printed: str, seconds: float | None) -> None:
    assert interval(printed) == seconds


def checked(**delta: float) -> State:
    return State(last_check=LastCheck(at=at(**delta), outcome=Outcome.OK, duration_ms=48))


def test_a_clock_that_went_back_is_seen() -> None:
    assert levels(list(rules.clock(True, checked(minutes=5), NOW))) == ["warning", "ok"]
    assert levels(list(rules.clock(False, checked(minutes=-5), NOW))) == ["warning"]
    assert levels(list(rules.clock(None, None, NOW))) == ["ok"]


def test_a_timer_that_fires_in_vain_is_seen() -> None:
    """The timer is active, and yet there is no check."""
    config = make_config()
    assert levels(list(rules.last_check(config, checked(seconds=-40), NOW, 3600))) == ["ok"]
    assert levels(list(rules.last_check(config, checked(minutes=-9), NOW, 3600))) == ["error"]
    assert levels(list(rules.last_check(config, checked(minutes=-9), NOW, None))) == ["ok"]
    assert levels(list(rules.last_check(config, None, NOW, 3600))) == ["error"]
    assert levels(list(rules.last_check(config, None, NOW, 5))) == ["ok"], "it was installed a moment ago"
    assert levels(list(rules.last_check(config, None, NOW, None))) == []


def test_what_the_state_owes() -> None:
    journal = Journal(started_at=NOW, from_="main", to="backup", step=Step.VERIFY, runs=2)
    state = State(
        active_account="gone",
        swap_in_progress=journal,
        paused=Pause(since=NOW),
        last_failure=Trouble(at=at(minutes=-5), reason="locked"),
    )
    lines = list(rules.state_lines(make_config(), state, NOW))
    assert [line.mend.partition(" ")[0] for line in lines] == ["failover-check", "failoverctl", "failoverctl", "name"]
    later = NOW + timedelta(days=1)
    assert len(list(rules.state_lines(make_config(), State(last_failure=state.last_failure), later))) == 0


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ({"LoadState": "loaded", "UnitFileState": "enabled", "ActiveState": "active", "NeedDaemonReload": "no"}, []),
        ({"LoadState": "not-found"}, ["error"]),
        ({"LoadState": "loaded", "UnitFileState": "disabled", "ActiveState": "inactive"}, ["error", "error"]),
        (
            {"LoadState": "loaded", "UnitFileState": "enabled", "ActiveState": "active", "NeedDaemonReload": "yes"},
            ["warning"],
        ),
    ],
)
def test_the_timers_unit(known: dict[str, str], expected: list[str]) -> None:
    assert levels(list(rules.timer(known))) == expected


def test_the_services_program() -> None:
    known = {"ExecStart": "{ path=/home/me/a b/failover-check ; argv[]=x ; }", "Result": "success"}
    assert rules.exec_path(known) == "/home/me/a b/failover-check"
    assert levels(list(rules.service(known, True, "/home/me/a b/failover-check"))) == []
    assert levels(list(rules.service(known, True, "/opt/failover-check"))) == ["warning"]
    assert levels(list(rules.service(known, False, None))) == ["error"]
    failed = {**known, "Result": "exit-code", "ExecMainStatus": "78"}
    assert ["78" in line.text for line in rules.service(failed, True, None)] == [True]


def test_a_timer_that_looks_elsewhere_is_seen() -> None:
    """Two configurations, two states, two locks, or another tmux server."""
    known = {
        "ExecStart": "{ path=/bin/failover-check ; argv[]=/bin/failover-check --config /a b.yaml --state /s.json ; "
        "ignore_errors=no ; }",
        "Environment": "PATH=/usr/bin LANG=C.UTF-8 TMUX_TMPDIR=/run/t",
    }
    theirs = rules.timers_view(known)
    assert theirs == View(config="/a b.yaml", state="/s.json", tmux_tmpdir="/run/t")
    assert list(rules.same_view(theirs, theirs)) == []
    assert levels(list(rules.same_view(theirs, View(config="/a b.yaml")))) == ["warning", "warning"]
    plain = {"ExecStart": "{ path=/bin/failover-check ; argv[]=/bin/failover-check ; ignore_errors=no ; }"}
    assert rules.timers_view(plain) == View()


# -- the command ---------------------------------------------------------------------------------------------------


def doctor(sandbox: Sandbox, *argv: str, code: int | None = None, **environ: str) -> list[dict[str, str]]:
    """Its lines, without those about the machine's own clock and user manager."""
    if not sandbox.config_file.exists():
        sandbox.save_config()
    flags = ["--config", str(sandbox.config_file), "--state", str(sandbox.state_file), "--json", *argv]
    done = subprocess.run(
        [sys.executable, "-m", "failover_oneshot.ctl", "doctor", *flags],
        env=sandbox.environ(**environ), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    assert MARK not in done.stdout.lower()
    facts = json.loads(done.stdout)
    assert facts["exit_code"] == done.returncode
    if code is not None:
        assert done.returncode == code, facts
    return [line for line in facts["lines"] if line["topic"] not in {"timer", "linger", "cadence"}]


def bad(lines: list[dict[str, str]]) -> list[tuple[str, str]]:
    return [(line["topic"], line["level"]) for line in lines if line["level"] != "ok"]


@pytest.fixture
def healthy(sandbox: Sandbox) -> Sandbox:
    sandbox.claude.chmod(0o700)
    for name in ("ccl-auto-11", "ccl-auto-12", "ops"):
        sandbox.server.start(name, "sleep 600")
    assert sandbox.check()["outcome"] == "ok"
    return sandbox


def test_a_healthy_installation_has_nothing_to_mend(healthy: Sandbox) -> None:
    before = healthy.fingerprint()
    assert bad(doctor(healthy)) == []
    assert healthy.fingerprint() == before


def test_each_file_that_others_may_read_is_mended_by_its_command(healthy: Sandbox) -> None:
    """The commands are run as they are printed, and then all is well."""
    store = healthy.stored("backup")
    for path, mode in ((store, 0o755), (store / ".credentials.json", 0o644), (healthy.state_file, 0o640),
                       (healthy.claude / ".credentials.json", 0o604)):  # fmt: skip
        path.chmod(mode)
    lines = [line for line in doctor(healthy, code=None) if line["level"] == "warning"]
    assert len(lines) == 4
    for line in lines:
        subprocess.run(shlex.split(line["mend"]), check=True)
    assert bad(doctor(healthy)) == []


def test_an_account_that_can_not_be_swapped_to_is_an_error(healthy: Sandbox) -> None:
    shutil.rmtree(healthy.stored("backup"))
    [line] = [line for line in doctor(healthy, code=2) if line["level"] == "error"]
    assert "does not exist" in line["text"]
    assert line["mend"].endswith("failoverctl accounts add backup")


def test_a_login_of_nobody_and_a_login_in_the_environment(healthy: Sandbox) -> None:
    healthy.log_in("stranger")
    healthy.server.start("ccl-auto-13", "exec env ANTHROPIC_API_KEY=FAKE-key sleep 600")
    poll(lambda: healthy.server.row("ccl-auto-13").pane.command == "sleep")
    assert sorted(bad(doctor(healthy))) == [("accounts", "warning"), ("client", "warning")]


def test_those_who_can_not_be_told(healthy: Sandbox, tmp_path: Path) -> None:
    """Messages, metrics and tasks that would fail at three in the morning."""
    secret = tmp_path / "urls"
    secret.write_text("json://FAKE-token@127.0.0.1\n")
    secret.chmod(0o644)
    healthy.config["notify"] = {"urls_file": str(secret)}
    healthy.config["metrics"] = {"textfile": str(tmp_path / "none/failover.prom")}
    healthy.config["dispatch"] = {"spool": str(tmp_path / "to be made/spool")}
    healthy.save_config()
    assert bad(doctor(healthy, code=2)) == [("told", "error")] * 2
    secret.chmod(0o600)
    (tmp_path / "none").mkdir()
    assert bad(doctor(healthy)) == []


def test_a_corrupt_state_is_said_and_left(healthy: Sandbox) -> None:
    healthy.check()  # the second one leaves a backup
    healthy.state_file.write_text("{")
    before = healthy.fingerprint()
    assert ("state", "warning") in bad(doctor(healthy))  # there is a good backup
    Path(f"{healthy.state_file}.bak").write_text("{")
    assert ("state", "error") in bad(doctor(healthy, code=2))
    healthy.state_file.write_text('{"version": 99}')
    assert ("state", "error") in bad(doctor(healthy, code=2))
    assert before.keys() == healthy.fingerprint().keys()


def test_a_lock_that_is_held_is_seen_and_not_taken(healthy: Sandbox) -> None:
    with Path(f"{healthy.state_file}.lock").open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert bad(doctor(healthy)) == [("lock", "warning")]


def test_a_huge_state_is_examined(healthy: Sandbox) -> None:
    history = [{"at": "2026-11-01T00:00:00Z", "outcome": "swapped", "from": "main", "to": "backup"}] * 10_000
    healthy.set_state(history=history, sessions={f"s-{n}": {"account": "main"} for n in range(500)})
    healthy.state_file.chmod(0o600)
    assert any("history of 10000" in line["text"] for line in doctor(healthy, code=None))
    assert bad(doctor(healthy)) == []


def test_without_tmux_or_without_a_server(healthy: Sandbox, tmp_path: Path) -> None:
    healthy.server.tmux("kill-server")
    assert ("tmux", "warning") in bad(doctor(healthy))
    healthy.config["tmux"]["binary"] = str(tmp_path / "none")
    healthy.save_config()
    assert ("tmux", "error") in bad(doctor(healthy, code=2))


def test_a_wrong_or_missing_configuration(sandbox: Sandbox, tmp_path: Path) -> None:
    """The machine is examined all the same."""
    sandbox.config_file.write_text("pools: {}\nquota: {tail_lines: 0}\n")
    lines = doctor(sandbox, code=2)
    assert [line["level"] for line in lines if line["topic"] == "config"] == ["error", "error"]
    assert {"tmux", "clock"} <= {line["topic"] for line in lines}
    sandbox.config_file.unlink()
    done = subprocess.run(
        [sys.executable, "-m", "failover_oneshot.ctl", "doctor", "--config", str(sandbox.config_file)],
        env=sandbox.environ(), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "→ failoverctl init" in done.stdout or "-> failoverctl init" in done.stdout
    assert all(len(line) <= 80 or str(tmp_path) in line for line in done.stdout.splitlines())


CLIENT = PANES


def test_screens_of_the_client_are_understood(healthy: Sandbox, tmp_path: Path) -> None:
    """A recorded screen is; a screen without its structure is named."""
    screen = next(path for path in sorted(CLIENT.rglob("ok*/*.txt")) if "❯" in path.read_text())
    client = tmp_path / "claude"
    client.symlink_to(shutil.which("tail") or "/usr/bin/tail")
    plain = tmp_path / "plain"
    plain.write_text("what is this?\n")
    healthy.server.start("ccl-auto-14", f"exec {client} -n 60 -f {screen}", width=120, height=40)
    poll(lambda: "❯" in healthy.server.tmux("capture-pane", "-p", "-t", "=ccl-auto-14:"))
    assert bad(doctor(healthy)) == []
    assert any("1 screens of running agents, all understood" in line["text"] for line in doctor(healthy))
    healthy.server.start("ccl-auto-15", f"exec {client} -f {plain}")
    poll(lambda: "what is" in healthy.server.tmux("capture-pane", "-p", "-t", "=ccl-auto-15:"))
    [line] = [line for line in doctor(healthy) if line["level"] != "ok"]
    assert line["mend"] == "failoverctl explain ccl-auto-15"


def test_the_version_is_that_of_the_installation_when_no_screen_says_it(healthy: Sandbox, tmp_path: Path) -> None:
    folder = tmp_path / "share/claude/versions"
    folder.mkdir(parents=True)
    (folder / "3.0.7").touch(mode=0o755)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/claude").symlink_to(folder / "3.0.7")
    [line] = [
        line for line in doctor(healthy, PATH=f"{tmp_path}/bin:{os.environ['PATH']}") if line["level"] == "warning"
    ]
    assert "version 3.0.7" in line["text"]
