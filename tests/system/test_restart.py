"""The restart of sessions on a real server: exactly the right ones, exactly once, with their old settings."""

import os
import signal
from collections.abc import Mapping

import msgspec
import pytest

from failover_oneshot.agents import registry
from failover_oneshot.config.model import Autonomous, Config, Pool
from failover_oneshot.model import Restart
from failover_oneshot.pool import restart as pool
from failover_oneshot.tmux.client import TmuxReader, TmuxTimeoutError
from tests.support.polling import poll
from tests.support.tmux_server import Server

SECRET = "FAKE-'\"$HOME#{pid};~\n  # sécret\\n"  # a value that any quoting error would change

CLAUDE = registry.agent(registry.CLAUDE)


def config(mode: str = "recreate", **autonomous: object) -> Config:
    auto = msgspec.convert({"start_index": 1, "max": 1, "after_swap": mode, **autonomous}, Autonomous)
    return Config(pool=Pool(autonomous=auto))


def planned(server: Server, settings: Config, resume_ids: Mapping[str, str] | None = None) -> tuple[Restart, ...]:
    return pool.plan(settings, server.sessions(settings.pool), (), "backup", resume_ids or {})


def restart_all(server: Server, settings: Config, env: Mapping[str, str | None] | None = None) -> tuple[Restart, ...]:
    return tuple(pool.perform(server.control(), part, env or {}) for part in planned(server, settings))


def everything(server: Server) -> dict[str, tuple[str, str, int]]:
    """The identity of each pane by session; a pane that keeps it was not touched."""
    rows = server.control().rows() or ()
    return {row.session_name: (row.session_id, row.pane.pane_id, row.pane.pid) for row in rows}


def printed(server: Server, file: str) -> str:
    """The content of a file that a session writes, as soon as it is not empty (the shell creates it empty)."""
    path = server.folder / file
    return poll(lambda: path.read_text() if path.exists() else "")


# --- recreate ----------------------------------------------------------------------------------------------------


def test_only_the_range_is_restarted(server: Server) -> None:
    """Law L1: a restart of ccl-auto-1 must not kill ccl-auto-11, which a prefix match would."""
    for name in ("ccl-auto-110", "ccl-auto-11", "ccl-auto-1", "ccl-0", "ccl-auto-"):
        server.start(name)
    before = everything(server)
    (part,) = restart_all(server, config())
    after = everything(server)
    assert part.status == "done", part.note
    assert after.pop("ccl-auto-1") != before.pop("ccl-auto-1")
    assert after == before


@pytest.mark.parametrize("action", ["recreate", "respawn", "nudge"])
def test_a_neighbor_is_not_taken_for_a_missing_session(server: Server, action: str) -> None:
    for name in ("ccl-auto-1", "ccl-auto-11"):
        server.start(name)
    (part,) = planned(server, config("respawn"))
    server.tmux("kill-session", "-t", "=ccl-auto-1")
    before = everything(server)["ccl-auto-11"]
    done = pool.perform(server.control(), msgspec.structs.replace(part, action=action), {}, CLAUDE)
    assert done.status == ("done" if action == "recreate" else "failed")
    assert everything(server)["ccl-auto-11"] == before
    assert server.names() == {"ccl-auto-11"} | ({"ccl-auto-1"} if action == "recreate" else set())


def test_a_session_that_ends_before_the_kill_harms_no_neighbor(server: Server) -> None:
    """The kill is by tmux's id, because the name of an ended session would match the neighbor as a prefix."""
    for name in ("ccl-auto-1", "ccl-auto-11"):
        server.start(name)
    (part,) = planned(server, config())
    neighbor = everything(server)["ccl-auto-11"]
    go = f'"$tmux" -S {server.socket} kill-session -t {part.session_id} 2>/dev/null'
    wrapper = server.write_wrapper(f'case "$*" in *source-file*) {go};; esac; exec "$tmux" "$@"')
    assert pool.perform(server.control(binary=wrapper), part, {}).status == "done"
    assert everything(server)["ccl-auto-11"] == neighbor
    assert server.names() == {"ccl-auto-1", "ccl-auto-11"}


def test_recreate_keeps_size_folder_program_and_environment(server: Server) -> None:
    folder = server.folder / "a b #{pid} #[x] $(x)\n'é"
    folder.mkdir()
    write = f'printf "%s|%s|%s" "$MINE" "$PWD" "$PATH" > {server.folder}/out; exec sleep 600'
    server.tmux("new-session", "-d", "-s", "keep", "exec sleep 600")
    place = str(folder).replace("#{", "##{").replace("#[", "#{l:#[}")  # tmux expands -c as a format
    variables = {"PATH": os.environ["PATH"] + ":/mine"}
    options = ["-x", "133", "-y", "37", "-e", f"MINE={SECRET}", "-c", place]
    server.tmux("new-session", "-d", "-s", "ccl-auto-1", *options, write, **variables)
    first = printed(server, "out")
    (server.folder / "out").unlink()
    before = server.row("ccl-auto-1")
    (part,) = restart_all(server, config())
    after = server.row("ccl-auto-1")
    assert part.status == "done", part.note
    assert (after.window_width, after.window_height) == (133, 37)
    assert after.session_id != before.session_id
    assert (after.pane.start_command, after.pane.path) == (before.pane.start_command, before.pane.path)
    assert printed(server, "out") == first
    assert first.startswith(f"{SECRET}|")
    assert first.endswith(":/mine")


@pytest.mark.parametrize("env", [{}, {"TOKEN": "FAKE"}])
def test_the_server_survives_the_restart_of_its_only_session(server: Server, env: dict[str, str]) -> None:
    server.start("ccl-auto-1")
    pid = server.server_pid()
    (part,) = restart_all(server, config(), env)
    assert part.status == "done", part.note
    assert server.server_pid() == pid


def test_recreate_with_an_attached_client_keeps_the_size(server: Server) -> None:
    server.start("ccl-auto-1", width=120, height=40)
    attach = f"TMUX= {server.config().binary} -S {server.socket} attach-session -t =ccl-auto-1"
    server.start("outer", attach, width=90, height=41)
    poll(lambda: server.row("ccl-auto-1").window_width == 90)
    (part,) = restart_all(server, config())
    assert part.status == "done", part.note
    row = server.row("ccl-auto-1")
    assert (row.window_width, row.window_height) == (part.width, part.height)


@pytest.mark.parametrize("mode", ["recreate", "respawn"])
def test_a_default_shell_is_a_default_shell_again(server: Server, mode: str) -> None:
    server.tmux("new-session", "-d", "-s", "ccl-auto-1")
    assert server.row("ccl-auto-1").pane.start_command == ""
    (part,) = restart_all(server, config(mode), {"TOKEN": "FAKE"})
    assert (part.status, part.note) == ("done", "no command known; starts a plain shell")
    assert server.row("ccl-auto-1").pane.start_command == ""


@pytest.mark.parametrize("mode", ["recreate", "respawn"])
def test_done_once_it_is_never_done_again(server: Server, mode: str) -> None:
    """A check is killed after the restart and before its record; the next one finds that it has happened."""
    server.start("ccl-auto-1")
    (part,) = planned(server, config(mode))
    assert pool.perform(server.control(), part, {}).status == "done"
    before = everything(server)
    again = pool.perform(server.control(), part, {})
    assert (again.status, "already" in again.note) == ("done", True)
    assert everything(server) == before


@pytest.mark.parametrize("mode", ["recreate", "respawn"])
def test_a_late_command_of_a_killed_check_restarts_nothing_twice(server: Server, mode: str) -> None:
    """The tmux process outlives its check; its command arrives between the next check's listing and restart."""
    started = server.folder / "started"
    server.start("ccl-auto-1", f"echo x >> {started}; exec sleep 600")
    (part,) = planned(server, config(mode))
    twice = server.write_wrapper(
        'case "$*" in *source-file*) cat > "$0.in"; "$tmux" "$@" < "$0.in"; exec < "$0.in";; esac; exec "$tmux" "$@"'
    )
    done = pool.perform(server.control(binary=twice), msgspec.structs.replace(part, status="started"), {})
    assert done.status == "done"
    server.start("ccl-auto-9")  # by now a second restart would have happened
    poll(lambda: len(started.read_text().split()) == 2)
    assert server.row("ccl-auto-1").pane.pid != part.pane_pid
    before = everything(server)
    assert pool.perform(server.control(), part, {}).status == "done"
    assert everything(server) == before


def test_a_session_killed_but_not_created_is_created(server: Server) -> None:
    server.start("ccl-auto-1")
    (part,) = planned(server, config())
    server.tmux("kill-server")
    poll(lambda: server.control().rows() is None)
    assert pool.perform(server.control(), part, {"TOKEN": "FAKE"}).status == "done"
    assert server.names() == {"ccl-auto-1"}


def test_another_servers_session_of_the_same_id_is_left_alone(server: Server) -> None:
    """Each server counts its ids from 0, so the plan's $0 is another session on a new server."""
    server.start("ccl-auto-1")
    (part,) = planned(server, config())
    server.tmux("kill-server")
    poll(lambda: server.control().rows() is None)
    server.start("ccl-auto-1")
    before = everything(server)
    assert pool.perform(server.control(), part, {}).status == "done"
    assert everything(server) == before


def test_a_missing_folder_is_reported(server: Server) -> None:
    folder = server.folder / "work"
    folder.mkdir()
    server.start("ccl-auto-1", folder=folder)
    folder.rmdir()
    (part,) = restart_all(server, config())
    assert part.status == "done"
    assert "does not exist" in part.note


def test_verify_finds_a_program_that_ended_at_once(server: Server) -> None:
    for name in ("ccl-auto-1", "ccl-auto-2"):
        server.start(name)
    settings = config(max=2, command="[ {index} = 2 ] && exec sleep 600")
    done = restart_all(server, settings)
    poll(lambda: "ccl-auto-1" not in server.names())
    assert [part.status for part in pool.verify(server.control(), done)] == ["failed", "done"]


def test_a_dead_pane_is_recreated(server: Server) -> None:
    server.start("ccl-auto-1")
    server.tmux("set-option", "-t", "=ccl-auto-1:", "remain-on-exit", "on")
    server.tmux("respawn-pane", "-k", "-t", "=ccl-auto-1:", f"test -e {server.folder}/go && exec sleep 600")
    poll(lambda: server.row("ccl-auto-1").pane.dead)
    (server.folder / "go").touch()
    (part,) = restart_all(server, config())
    assert part.status == "done", part.note
    assert pool.verify(server.control(), [part])[0].status == "done"


def test_an_operators_configuration_does_not_get_in_the_way(server: Server) -> None:
    """base-index, detach-on-destroy, remain-on-exit, a default command, hooks that print."""
    server.start("keep")
    for option in ("base-index 3", "detach-on-destroy off", "remain-on-exit on", "destroy-unattached off"):
        server.tmux("set-option", "-g", *option.split())
    server.tmux("set-option", "-g", "default-command", "echo no")
    server.tmux("set-hook", "-g", "session-created", "display-message created")
    server.start("ccl-auto-1")
    (part,) = restart_all(server, config(), {"TOKEN": "FAKE"})
    assert part.status == "done", part.note
    assert server.row("ccl-auto-1").pane.start_command == "exec sleep 600"


# --- respawn -----------------------------------------------------------------------------------------------------


def test_respawn_keeps_session_and_pane(server: Server) -> None:
    folder = server.folder / "work"
    folder.mkdir()
    server.start("ccl-auto-1", f"pwd > {server.folder}/out; exec sleep 600", folder=folder)
    assert printed(server, "out").strip() == str(folder)
    (server.folder / "out").unlink()
    before = server.row("ccl-auto-1")
    (part,) = restart_all(server, config("respawn"))
    after = server.row("ccl-auto-1")
    assert part.status == "done", part.note
    assert (after.session_id, after.pane.pane_id) == (before.session_id, before.pane.pane_id)
    assert after.pane.pid != before.pane.pid
    assert printed(server, "out").strip() == str(folder)


def test_respawn_of_a_pane_that_is_gone_fails(server: Server) -> None:
    server.start("ccl-auto-1")
    (part,) = planned(server, config("respawn"))
    server.tmux("split-window", "-d", "-t", "=ccl-auto-1:", "exec sleep 600")
    server.tmux("kill-pane", "-t", part.pane_id)
    assert pool.perform(server.control(), part, {}).status == "failed"


# --- create ------------------------------------------------------------------------------------------------------


def test_create_starts_a_server_that_stays(server: Server) -> None:
    settings = config(min=1, command="exec sleep 600", workdir=str(server.home))
    (part,) = pool.missing(settings, (), "main")
    done = pool.perform(server.control(), part, {"TOKEN": SECRET})
    assert done.status == "done", done.note
    assert server.names() == {"ccl-auto-1"}
    assert pool.perform(server.control(), part, {}).note == "already exists"


def test_a_server_that_we_start_inherits_nothing_of_the_units(server: Server) -> None:
    server.environ |= {"JOURNAL_STREAM": "1:2", "NOTIFY_SOCKET": "/x", "TMUX": "/x,1,0"}
    (part,) = pool.missing(config(min=1, command="exec sleep 600"), (), "main")
    assert pool.perform(server.control(), part, {}).status == "done"
    inherited = server.tmux("show-environment", "-g")
    assert "JOURNAL_STREAM" not in inherited
    assert "NOTIFY_SOCKET" not in inherited
    assert f"PATH={server.environ['PATH']}" in inherited


# --- secrets (law L4) --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", ["recreate", "respawn", "create"])
def test_a_secret_arrives_and_shows_nowhere(server: Server, action: str) -> None:
    """It is in no command line (all are recorded), nor in tmux's message log, nor in its global environment."""
    server.start("keep")
    write = f'printf %s "$TOKEN" > {server.folder}/new; mv {server.folder}/new {server.folder}/out; exec sleep 600'
    if action == "create":
        (part,) = pool.missing(config(min=1, command=write), (), "main")
    else:
        server.start("ccl-auto-1")
        server.tmux("set-environment", "-t", "=ccl-auto-1", "TOKEN", "FAKE-old")
        server.tmux("set-environment", "-t", "=ccl-auto-1", "OLD_TOKEN", "FAKE-old")
        (part,) = planned(server, config(action, command=write))
    record = server.folder / "argv"
    wrapper = server.write_wrapper(f'printf "%s\\n" "$@" >> {record}; exec "$tmux" "$@"')
    done = pool.perform(server.control(binary=wrapper), part, {"TOKEN": SECRET, "OLD_TOKEN": None})
    assert done.status == "done", done.note
    assert printed(server, "out") == SECRET
    kept = server.control().environment(server.row("ccl-auto-1").session_id)
    assert kept["TOKEN"] == SECRET
    assert kept["OLD_TOKEN"] is None
    log = server.messages()
    assert "set-environment" in log
    for place in (record.read_text(), log, str(done), server.tmux("show-environment", "-g")):
        assert "FAKE-'" not in place
        assert "cret" not in place
    assert "FAILOVER_VALUE" not in server.tmux("show-environment", "-g", "-h")


@pytest.mark.parametrize("env", [{"A=B": "x"}, {"": "x"}, {"A": "nul\0"}])
def test_an_impossible_environment_touches_nothing(server: Server, env: dict[str, str]) -> None:
    server.start("ccl-auto-1")
    before = everything(server)
    (part,) = restart_all(server, config(), env)
    assert part.status == "failed"
    assert everything(server) == before


# --- failures ----------------------------------------------------------------------------------------------------


def test_the_tmux_of_a_dry_run_cannot_restart_anything(server: Server) -> None:
    server.start("ccl-auto-1")
    (part,) = planned(server, config())
    with pytest.raises(TypeError):
        pool.perform(TmuxReader(server.config(), server.environ), part, {})


def test_a_restart_on_a_stopped_server_is_repeated(server: Server) -> None:
    server.start("ccl-auto-1")
    (part,) = planned(server, config())
    pid = server.server_pid()
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(TmuxTimeoutError):
            pool.perform(server.control(timeout=0.3), part, {})
    finally:
        os.kill(pid, signal.SIGCONT)
    assert pool.perform(server.control(), part, {}).status == "done"
    assert server.names() == {"ccl-auto-1"}


def test_a_session_that_is_killed_and_not_created_is_retried(server: Server) -> None:
    """The first command stops after its kill; the session is still created."""
    server.start("keep")
    server.start("ccl-auto-1")
    flag = server.folder / "flag"
    cut = f'if [ ! -e {flag} ]; then touch {flag}; sed "s/ ; .*//" | "$tmux" "$@"; exit 1; fi'
    wrapper = server.write_wrapper(f'case "$*" in *source-file*) {cut};; esac; exec "$tmux" "$@"')
    (part,) = planned(server, config())
    done = pool.perform(server.control(binary=wrapper), part, {})
    assert done.status == "done", done.note
    assert server.names() == {"keep", "ccl-auto-1"}
