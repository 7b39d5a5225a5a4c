"""`failoverctl init`: the file that it writes, and that a check accepts it."""

import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from failover_oneshot.config import loader
from failover_oneshot.ctl.demo.sandbox import CHECK, CTL, MARK, Sandbox
from failover_oneshot.ctl.demo.server import execute
from tests.support.polling import poll
from tests.support.tmux_server import Server


@pytest.fixture
def agent(tmp_path: Path) -> str:
    """The path of a program that tmux shows as `claude`."""
    (tmp_path / "claude").symlink_to(shutil.which("sleep") or "/bin/sleep")
    return f"exec {tmp_path}/claude 600"


def init(server: Server, *argv: str, code: int = 0, **environ: str) -> str:
    command = [*CTL, "init", "--socket-path", str(server.socket), *argv]
    done = execute(command, {**server.environ, **environ}, server.home)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


def written(server: Server) -> Path:
    return server.home / ".config/failover/failover.yaml"


def log_in(server: Server) -> None:
    """A home with live credentials and without a store."""
    shutil.rmtree(Sandbox(server.folder, server).stored("main").parent)


def pool(server: Server, agent: str) -> None:
    for session in ("ccl-0", "ccl-auto-11", "ccl-auto-12", "ccl-auto-14", "ops"):
        server.start(session, agent)
    server.start("notes")
    poll(lambda: {server.row(n).pane.command for n in ("ccl-0", "ccl-auto-14", "ops")} == {"claude"})


def test_a_running_pool_becomes_a_configuration(server: Server, agent: str) -> None:
    """The sessions and the live credentials give a private file that a check accepts."""
    pool(server, agent)
    log_in(server)
    said = init(server)
    assert MARK not in said
    assert "(main@example.invalid)" in " ".join(said.split())
    assert stat.S_IMODE(written(server).stat().st_mode) == 0o600
    made = loader.load(written(server), {"HOME": str(server.home)})
    auto = made.pool.autonomous
    assert (auto.prefix, auto.start_index, auto.max, auto.min, auto.after_swap) == ("ccl-auto-", 11, 4, 0, "recreate")
    assert [d.name for d in made.pool.dedicated] == ["ops"]
    assert [(a.name, a.store) for a in made.accounts] == [
        (n, str(server.home / ".claude-accounts" / n)) for n in ("main", "backup")
    ]
    check = [*CHECK, "--dry-run"]
    done = execute(check, server.environ, server.home)
    assert done.stdout.startswith("dry run: ok: 0 of 3 pool sessions blocked"), done.stdout + done.stderr


def test_agents_started_from_a_shell_are_not_restarted(server: Server, agent: str) -> None:
    """tmux could not start such an agent again; the pane would become an empty shell."""
    server.start("ccl-auto-1", "sh")
    server.tmux("send-keys", "-t", "=ccl-auto-1:", agent.removeprefix("exec "), "Enter")
    poll(lambda: server.row("ccl-auto-1").pane.command == "claude")
    init(server)
    assert loader.load(written(server), {"HOME": str(server.home)}).pool.autonomous.after_swap == "nudge"


def test_an_existing_file_is_never_overwritten(server: Server, agent: str) -> None:
    pool(server, agent)
    written(server).parent.mkdir(parents=True)
    written(server).write_text("mine: true\n")
    assert "already exists; not" in init(server, code=1)
    assert "already exists; not" in init(server, "--dry-run", code=1)
    assert "ccl-auto-" in init(server, "--stdout")
    assert [p.name for p in written(server).parent.iterdir()] == ["failover.yaml"]
    assert written(server).read_text() == "mine: true\n"


def test_of_several_at_once_one_writes(server: Server) -> None:
    """No temporary file stays behind."""
    command = [*CTL, "init", "--socket-path", str(server.socket)]
    runs = [subprocess.Popen(command, env=server.environ, stdout=subprocess.PIPE, text=True) for _ in range(6)]
    said = [run.communicate(timeout=60)[0] for run in runs]
    assert sorted(run.returncode for run in runs) == [0, 1, 1, 1, 1, 1]
    assert sum("wrote" in text for text in said) == 1
    assert [p.name for p in written(server).parent.iterdir()] == ["failover.yaml"]


def test_a_preview_writes_nothing(server: Server, agent: str) -> None:
    pool(server, agent)
    assert "start_index: 11" in init(server, "--dry-run")
    assert init(server, "--stdout").startswith("# Configuration of")
    assert not written(server).parent.exists()


def test_on_an_empty_machine_the_file_is_an_example(server: Server) -> None:
    """Without a server and credentials it says so, and a check still accepts the file."""
    said = init(server, "--accounts", "work")
    assert "no tmux server is running" in said
    assert "log in with the agent" in said
    assert [a.name for a in loader.load(written(server), {"HOME": str(server.home)}).accounts] == ["work"]


def test_existing_stores_become_the_accounts(server: Server) -> None:
    Sandbox(server.folder, server)
    assert "accounts add" not in init(server)
    assert [a.name for a in loader.load(written(server), {"HOME": str(server.home)}).accounts] == ["main", "backup"]


def test_an_impossible_name_writes_nothing(server: Server) -> None:
    assert "not a valid account name" in " ".join(init(server, "--accounts", "a b", code=1).split())
    assert list(written(server).parent.iterdir()) == []


@pytest.fixture
def own_tmpdir() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="ft-"))
    yield folder
    shutil.rmtree(folder)


def test_a_socket_that_the_timer_would_not_find_is_in_the_file(server: Server, own_tmpdir: Path) -> None:
    """The user manager does not know the shell's TMUX_TMPDIR and TMUX."""
    command = [*CTL, "init", "--stdout"]
    for variable, value, socket in (
        ("TMUX_TMPDIR", str(own_tmpdir), f"{own_tmpdir}/tmux-{os.getuid()}/default"),
        ("TMUX", f"{own_tmpdir}/s,123,0", f"{own_tmpdir}/s"),
    ):
        done = execute(command, {**server.environ, variable: value}, server.home)
        assert f"socket_path: {socket}\n" in done.stdout
