"""`failoverctl init`: what it proposes, and that a check takes it."""

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from failover_oneshot.config import loader, schema
from failover_oneshot.ctl.commands.init import publish
from failover_oneshot.ctl.demo.sandbox import MARK, Sandbox
from failover_oneshot.ctl.demo.server import execute
from failover_oneshot.ctl.lib import proposal
from failover_oneshot.ctl.lib.proposal import AmbiguousError, Facts, Running, propose, render
from tests.support.polling import poll
from tests.support.tmux_server import Server


def running(*names: str, agent: bool = True, start_known: bool = True) -> list[Running]:
    return [Running(name=name, agent=agent, start_known=start_known) for name in names]


# -- what is proposed ----------------------------------------------------------------------------------------------


def test_the_pool_is_the_group_that_works_by_itself() -> None:
    """Ten manual sessions beside ten of the pool: those that somebody sits at are no part of it."""
    manual = running(*(f"ccl-{i}" for i in range(10)))
    found = propose([*manual, *running(*(f"ccl-auto-{i}" for i in range(11, 21)), "ops")])
    assert (found.prefix, found.indices, found.dedicated) == ("ccl-auto-", tuple(range(11, 21)), ("ops",))
    assert found.notes == ("not watched: ccl-N (10 sessions)",)


def test_in_doubt_it_asks() -> None:
    with pytest.raises(AmbiguousError, match=r"'dev-' \(2 sessions\), 'rev-' \(1 sessions\)"):
        propose(running("dev-1", "dev-2", "rev-1"))
    assert propose(running("dev-1", "dev-2", "rev-1"), "rev-").indices == (1,)


def test_sessions_without_an_agent_are_no_pool() -> None:
    found = propose(running("build-1", "build-2", "logs", agent=False))
    assert (found.prefix, found.indices, found.dedicated) == (None, (), ())


def test_what_a_swap_would_restart_though_no_agent_is_seen_is_said() -> None:
    found = propose([*running("ccl-auto-1", "ccl-auto-3"), *running("ccl-auto-2", agent=False)])
    assert (found.indices, "no agent is seen in ccl-auto-2:" in found.notes[0]) == ((1, 2, 3), True)


def test_an_index_with_a_zero_in_front_is_no_index() -> None:
    """`ccl-auto-011` is not what the range means by 11."""
    assert propose(running("ccl-auto-011", "ccl-auto-12")).indices == (12,)


@pytest.mark.parametrize(
    ("command", "known"),
    [("claude --model opus", True), ("exec claude", True), ("", False), ("zsh", False), ("exec /bin/bash", False)],
)
def test_a_shell_is_no_way_to_start_an_agent(command: str, known: bool) -> None:
    assert proposal.restartable(command) is known


name = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(name, max_size=6), name, name)
def test_whatever_is_named_how_the_text_is_taken(names: list[str], account: str, path: str) -> None:
    """It is YAML that says what was meant; only what a name may not hold is refused, by name."""
    try:
        found = propose(running(*names))
    except AmbiguousError:
        return
    text = render(Facts(proposal=found, accounts=((account, path, path),), tmux={"binary": path}), schema.sentences())
    import yaml

    value = yaml.safe_load(text)
    assert value["accounts"] == [{"name": account, "store": path}]
    assert value["pool"]["autonomous"]["prefix"] == ("ccl-auto-" if found.prefix is None else found.prefix)
    assert [d["name"] for d in value["pool"]["dedicated"]] == list(found.dedicated)


# -- the command ---------------------------------------------------------------------------------------------------


@pytest.fixture
def agent(tmp_path: Path) -> str:
    """A program that tmux shows as `claude`."""
    (tmp_path / "claude").symlink_to(shutil.which("sleep") or "/bin/sleep")
    return f"exec {tmp_path}/claude 600"


def init(server: Server, *argv: str, code: int = 0, **environ: str) -> str:
    command = [sys.executable, "-m", "failover_oneshot.ctl", "init", "--socket-path", str(server.socket), *argv]
    done = execute(command, {**server.environ, **environ}, server.home)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


def written(server: Server) -> Path:
    return server.home / ".config/failover/failover.yaml"


def log_in(server: Server) -> None:
    """A live login, and no store."""
    shutil.rmtree(Sandbox(server.folder, server).stored("main").parent)


def pool(server: Server, agent: str) -> None:
    for session in ("ccl-0", "ccl-auto-11", "ccl-auto-12", "ccl-auto-14", "ops"):
        server.start(session, agent)
    server.start("notes")
    poll(lambda: {server.row(n).pane.command for n in ("ccl-0", "ccl-auto-14", "ops")} == {"claude"})


def test_a_running_pool_becomes_a_configuration(server: Server, agent: str) -> None:
    """From the sessions and the login to a file that a check takes, for its owner's eyes only."""
    pool(server, agent)
    log_in(server)
    said = init(server)
    assert MARK not in said
    assert "that of main@example.invalid" in " ".join(said.split())
    assert stat.S_IMODE(written(server).stat().st_mode) == 0o600
    made = loader.load(written(server), {"HOME": str(server.home)})
    auto = made.pool.autonomous
    assert (auto.prefix, auto.start_index, auto.max, auto.min, auto.after_swap) == ("ccl-auto-", 11, 4, 0, "recreate")
    assert [d.name for d in made.pool.dedicated] == ["ops"]
    assert [(a.name, a.store) for a in made.accounts] == [
        (n, str(server.home / ".claude-accounts" / n)) for n in ("main", "backup")
    ]
    check = [sys.executable, "-m", "failover_oneshot", "--dry-run"]
    done = execute(check, server.environ, server.home)
    assert done.stdout.startswith("dry run: ok: 0 of 3 pool sessions blocked"), done.stdout + done.stderr


def test_agents_typed_into_a_shell_are_not_to_be_killed(server: Server, agent: str) -> None:
    """What tmux can not start again would become an empty shell."""
    server.start("ccl-auto-1", "sh")
    server.tmux("send-keys", "-t", "=ccl-auto-1:", agent.removeprefix("exec "), "Enter")
    poll(lambda: server.row("ccl-auto-1").pane.command == "claude")
    init(server)
    assert loader.load(written(server), {"HOME": str(server.home)}).pool.autonomous.after_swap == "nudge"


def test_a_file_that_exists_is_never_written_over(server: Server, agent: str) -> None:
    pool(server, agent)
    written(server).parent.mkdir(parents=True)
    written(server).write_text("mine: true\n")
    assert "never written over" in init(server, code=1)
    assert "never written over" in init(server, "--dry-run", code=1)
    assert "ccl-auto-" in init(server, "--stdout")
    assert [p.name for p in written(server).parent.iterdir()] == ["failover.yaml"]
    assert written(server).read_text() == "mine: true\n"


def test_a_name_that_is_taken_meanwhile_is_refused(tmp_path: Path) -> None:
    """Between the look and the writing somebody else may have written."""
    target = tmp_path / "failover.yaml"
    target.write_text("mine: true\n")
    assert "exists" in str(publish(target, "accounts: []\n"))
    assert target.read_text() == "mine: true\n"
    assert list(tmp_path.iterdir()) == [target]


def test_of_several_at_once_one_writes(server: Server) -> None:
    """And no temporary stays."""
    command = [sys.executable, "-m", "failover_oneshot.ctl", "init", "--socket-path", str(server.socket)]
    runs = [subprocess.Popen(command, env=server.environ, stdout=subprocess.PIPE, text=True) for _ in range(6)]
    said = [run.communicate(timeout=60)[0] for run in runs]
    assert sorted(run.returncode for run in runs) == [0, 1, 1, 1, 1, 1]
    assert sum("wrote" in text for text in said) == 1
    assert [p.name for p in written(server).parent.iterdir()] == ["failover.yaml"]


def test_shown_first_and_nothing_is_written(server: Server, agent: str) -> None:
    pool(server, agent)
    assert "start_index: 11" in init(server, "--dry-run")
    assert init(server, "--stdout").startswith("# The configuration of")
    assert not written(server).parent.exists()


def test_with_nothing_here_the_file_is_an_example(server: Server) -> None:
    """No server, no login: it is said, and what is written still passes the check."""
    said = init(server, "--accounts", "work")
    assert "no tmux server is running" in said
    assert "log in with the client" in said
    assert [a.name for a in loader.load(written(server), {"HOME": str(server.home)}).accounts] == ["work"]


def test_stores_that_are_there_become_the_accounts(server: Server) -> None:
    Sandbox(server.folder, server)
    assert "accounts add" not in init(server)
    assert [a.name for a in loader.load(written(server), {"HOME": str(server.home)}).accounts] == ["main", "backup"]


def test_an_impossible_name_writes_nothing(server: Server) -> None:
    assert "must be a plain word" in " ".join(init(server, "--accounts", "a b", code=1).split())
    assert list(written(server).parent.iterdir()) == []


@pytest.fixture
def own_tmpdir() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="ft-"))
    yield folder
    shutil.rmtree(folder)


def test_a_socket_that_the_timer_would_not_find_is_written_down(server: Server, own_tmpdir: Path) -> None:
    """The shell's TMUX_TMPDIR and TMUX are unknown to the user manager."""
    command = [sys.executable, "-m", "failover_oneshot.ctl", "init", "--stdout"]
    for variable, value, socket in (
        ("TMUX_TMPDIR", str(own_tmpdir), f"{own_tmpdir}/tmux-{os.getuid()}/default"),
        ("TMUX", f"{own_tmpdir}/s,123,0", f"{own_tmpdir}/s"),
    ):
        done = execute(command, {**server.environ, variable: value}, server.home)
        assert f"socket_path: {socket}\n" in done.stdout
