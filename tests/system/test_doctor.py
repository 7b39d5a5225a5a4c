"""`failoverctl doctor`: it finds each problem, and the fix that it prints works."""

import fcntl
import json
import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from failover_oneshot.ctl.demo.sandbox import CTL, MARK
from tests.support.paths import PANES
from tests.support.polling import poll
from tests.support.sandbox import Sandbox


def doctor(sandbox: Sandbox, *argv: str, code: int | None = None, **environ: str) -> list[dict[str, str]]:
    """The findings of the doctor, without those on the machine's clock and user manager."""
    if not sandbox.config_file.exists():
        sandbox.save_config()
    done = sandbox.execute([*CTL, "doctor", *sandbox.flags("--json", *argv)], **environ)
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


def test_a_healthy_installation_needs_no_fix(healthy: Sandbox) -> None:
    before = healthy.fingerprint()
    assert bad(doctor(healthy)) == []
    assert healthy.fingerprint() == before


def test_each_file_that_others_may_read_is_fixed_by_its_command(healthy: Sandbox) -> None:
    """The commands are run as they are printed; then the doctor finds no problem."""
    store = healthy.stored("backup")
    for path, mode in ((store, 0o755), (store / ".credentials.json", 0o644), (healthy.state_file, 0o640),
                       (healthy.claude / ".credentials.json", 0o604)):  # fmt: skip
        path.chmod(mode)
    lines = [line for line in doctor(healthy, code=None) if line["level"] == "warning"]
    assert len(lines) == 4
    for line in lines:
        subprocess.run(shlex.split(line["fix"]), check=True)
    assert bad(doctor(healthy)) == []


def test_an_unusable_account_is_an_error(healthy: Sandbox) -> None:
    shutil.rmtree(healthy.stored("backup"))
    [line] = [line for line in doctor(healthy, code=2) if line["level"] == "error"]
    assert "does not exist" in line["text"]
    assert line["fix"].endswith("run `failoverctl accounts add backup`")


def test_unclaimed_credentials_and_credentials_in_the_environment(healthy: Sandbox) -> None:
    healthy.log_in("stranger")
    healthy.server.start("ccl-auto-13", "exec env ANTHROPIC_API_KEY=FAKE-key sleep 600")
    poll(lambda: healthy.server.row("ccl-auto-13").pane.command == "sleep")
    assert sorted(bad(doctor(healthy))) == [("accounts", "warning"), ("agent", "warning")]


def test_notices_metrics_and_tasks_that_would_fail(healthy: Sandbox, tmp_path: Path) -> None:
    """The doctor finds in advance what would fail at the next incident."""
    secret = tmp_path / "urls"
    secret.write_text("json://FAKE-token@127.0.0.1\n")
    secret.chmod(0o644)
    healthy.config["notify"] = {"urls_file": str(secret)}
    healthy.config["metrics"] = {"textfile": str(tmp_path / "none/failover.prom")}
    healthy.config["dispatch"] = {"spool": str(tmp_path / "to be made/spool")}
    healthy.save_config()
    assert bad(doctor(healthy, code=2)) == [("notify", "error"), ("metrics", "error")]
    secret.chmod(0o600)
    (tmp_path / "none").mkdir()
    assert bad(doctor(healthy)) == []


def test_a_corrupt_state_is_reported_and_kept(healthy: Sandbox) -> None:
    healthy.check()  # the second one leaves a backup
    healthy.state_file.write_text("{")
    before = healthy.fingerprint()
    assert ("state", "warning") in bad(doctor(healthy))  # there is a good backup
    Path(f"{healthy.state_file}.bak").write_text("{")
    assert ("state", "error") in bad(doctor(healthy, code=2))
    healthy.state_file.write_text('{"version": 99}')
    assert ("state", "error") in bad(doctor(healthy, code=2))
    assert before.keys() == healthy.fingerprint().keys()


def test_a_held_lock_is_reported_and_not_taken(healthy: Sandbox) -> None:
    with Path(f"{healthy.state_file}.lock").open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert bad(doctor(healthy)) == [("lock", "warning")]


def test_a_huge_state_is_examined(healthy: Sandbox) -> None:
    history = [{"at": "2026-11-01T00:00:00Z", "outcome": "swapped", "from": "main", "to": "backup"}] * 10_000
    healthy.set_state(history=history, sessions={f"s-{n}": {"account": "main"} for n in range(500)})
    healthy.state_file.chmod(0o600)
    assert any("10000 events in the history" in line["text"] for line in doctor(healthy, code=None))
    assert bad(doctor(healthy)) == []


def test_without_tmux_or_without_a_server(healthy: Sandbox, tmp_path: Path) -> None:
    healthy.server.tmux("kill-server")
    assert ("tmux", "warning") in bad(doctor(healthy))
    healthy.config["tmux"]["binary"] = str(tmp_path / "none")
    healthy.save_config()
    assert ("tmux", "error") in bad(doctor(healthy, code=2))


def test_a_wrong_or_missing_configuration(sandbox: Sandbox, tmp_path: Path) -> None:
    """The machine is examined without a configuration, too."""
    sandbox.config_file.write_text("pools: {}\nquota: {tail_lines: 0}\n")
    lines = doctor(sandbox, code=2)
    assert [line["level"] for line in lines if line["topic"] == "config"] == ["error", "error"]
    assert {"tmux", "clock"} <= {line["topic"] for line in lines}
    sandbox.config_file.unlink()
    done = sandbox.execute([*CTL, "doctor", *sandbox.flags()])
    assert done.returncode == 2
    assert "→ failoverctl init" in done.stdout or "-> failoverctl init" in done.stdout
    assert all(len(line) <= 80 or str(tmp_path) in line for line in done.stdout.splitlines())


CLIENT = PANES


def test_screens_of_the_agent_are_understood(healthy: Sandbox, tmp_path: Path) -> None:
    """A recorded screen is understood; a screen without the agent's structure is reported."""
    screen = next(path for path in sorted(CLIENT.rglob("ok*/*.txt")) if "❯" in path.read_text())
    client = tmp_path / "claude"
    client.symlink_to(shutil.which("tail") or "/usr/bin/tail")
    plain = tmp_path / "plain"
    plain.write_text("what is this?\n")
    healthy.server.start("ccl-auto-14", f"exec {client} -n 60 -f {screen}", width=120, height=40)
    healthy.server.wait_for("ccl-auto-14", screen.read_text().rsplit(maxsplit=1)[-1])
    assert bad(doctor(healthy)) == []
    assert any("1 agent screen recognized" in line["text"] for line in doctor(healthy))
    healthy.server.start("ccl-auto-15", f"exec {client} -f {plain}")
    healthy.server.wait_for("ccl-auto-15", "what is this?")
    [line] = [line for line in doctor(healthy) if line["level"] != "ok"]
    assert line["fix"] == "failoverctl explain ccl-auto-15"


def test_the_installed_version_is_used_when_no_screen_shows_one(healthy: Sandbox, tmp_path: Path) -> None:
    folder = tmp_path / "share/claude/versions"
    folder.mkdir(parents=True)
    (folder / "3.0.7").touch(mode=0o755)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/claude").symlink_to(folder / "3.0.7")
    [line] = [
        line for line in doctor(healthy, PATH=f"{tmp_path}/bin:{os.environ['PATH']}") if line["level"] == "warning"
    ]
    assert "Claude Code 3.0.7" in line["text"]
