"""Typing to a blocked agent in a real pane: into an empty, idle prompt of the fake agent and nowhere else."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import pytest

from failover_oneshot.agents import registry
from failover_oneshot.config.model import AfterSwap, Autonomous, Config, Pool
from failover_oneshot.model import Restart
from failover_oneshot.pool import restart, typist
from failover_oneshot.pool.panes import has_company
from tests.support.agent_pane import AgentPane
from tests.support.polling import poll
from tests.support.tmux_server import Server

CONFIG = Config(
    pool=Pool(autonomous=Autonomous(start_index=1, max=1, after_swap=AfterSwap.NUDGE, nudge="please go on;\n now"))
)
TEXT = "please go on; now"
RULE = "─" * 80
BOX = f"● Done.\n\n{RULE}\n❯ \n{RULE}\n  ⏵⏵ auto mode on"


@pytest.fixture
def short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(typist, "PATIENCE", 1.0)


@pytest.fixture
def agent(server: Server) -> AgentPane:
    return AgentPane(server)


def nudged(server: Server) -> Restart:
    (part,) = restart.plan(CONFIG, server.sessions(CONFIG.pool), {"ccl-auto-1"}, "backup", {})
    return restart.perform(server.control(), part, {}, registry.of_the_pool(CONFIG))


def test_a_blocked_agent_goes_on(server: Server, agent: AgentPane) -> None:
    """Escape ends its wait, then the text is sent as one message."""
    agent.exhaust(datetime.now(UTC) + timedelta(hours=2))
    agent.start("first")
    agent.shows("Esc to cancel")
    agent.exhaust(None)
    done = nudged(server)
    assert (done.status, done.note) == ("done", "")
    agent.shows("answered on main")
    assert agent.agents.prompts() == ["first", TEXT]


def test_an_idle_agent_is_nudged_without_escape(server: Server, agent: AgentPane) -> None:
    agent.start()
    assert nudged(server).status == "done"
    poll(lambda: agent.agents.prompts() == [TEXT])


def test_a_working_agent_is_left_alone(server: Server, agent: AgentPane) -> None:
    agent.start("--work", "600", "first")
    agent.shows("esc to interrupt")
    assert (nudged(server).status, nudged(server).note) == ("done", "already working")
    assert TEXT not in agent.screen()


def test_a_draft_is_never_typed_into(server: Server, agent: AgentPane) -> None:
    """This holds also when the agent waits, because Escape could clear the draft."""
    agent.exhaust(datetime.now(UTC) + timedelta(hours=2))
    agent.start("first")
    agent.shows("Esc to cancel")
    server.tmux("send-keys", "-t", "=ccl-auto-1:", "-l", "my draft")
    agent.shows("❯ my draft")
    part = nudged(server)
    assert (part.status, "draft" in part.note) == ("failed", True)
    assert "Esc to cancel" in agent.screen()
    assert TEXT not in agent.screen()


@pytest.mark.usefixtures("short_patience")
@pytest.mark.parametrize(
    ("screen", "why", "keys"),
    [
        ("$ ", "not recognized", b""),
        (
            f"● Pick\n{'▔' * 80}\n What do you want to do?\n\n ❯ 1. Stop and wait for limit\n   2. Upgrade",
            "menu",
            b"\033",
        ),
        ("● Edit file\n\n Do you want to make this edit?\n ❯ 1. Yes\n   2. No\n\n Esc to cancel", "", b""),
        ("❯ earlier message\n\n● Done.\n\n● Still printing", "no empty prompt", b""),
        (BOX + " · esc to interrupt", "already working", b""),
        (BOX, "did not appear", TEXT.encode()),
    ],
)
def test_enter_is_pressed_only_at_an_empty_prompt(server: Server, screen: str, why: str, keys: bytes) -> None:
    """The program shows this screen, never changes it, and writes its input to a file."""
    got = server.folder / "got"
    shown = server.folder / "shown"
    shown.write_text(screen)
    server.start("ccl-auto-1", f"stty raw opost -echo; cat {shown}; exec cat > {got}")
    last = screen.rsplit(maxsplit=1)[-1]
    poll(lambda: last in server.tmux("capture-pane", "-p", "-t", "=ccl-auto-1:") and got.exists())
    part = nudged(server)
    assert why in part.note
    assert part.status == ("done" if "working" in why else "failed")
    poll(lambda: got.read_bytes() == keys)


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_a_shell_is_never_typed_into(server: Server, shell: str) -> None:
    shown = server.folder / "shown"
    shown.write_text(BOX)
    server.start("ccl-auto-1", f"cat {shown}; exec {shell}")
    poll(lambda: "auto mode" in server.tmux("capture-pane", "-p", "-t", "=ccl-auto-1:"))
    part = nudged(server)
    assert (part.status, "shell" in part.note) == ("failed", True)
    assert "please" not in server.tmux("capture-pane", "-p", "-t", "=ccl-auto-1:")


@pytest.mark.parametrize(
    "how", [["copy-mode", "-t", "=ccl-auto-1:"], ["set-option", "-w", "-t", "=ccl-auto-1:", "synchronize-panes", "on"]]
)
def test_keys_that_would_go_elsewhere_are_not_sent(server: Server, agent: AgentPane, how: Iterable[str]) -> None:
    """In copy mode tmux itself takes the keys; with synchronized panes the neighbors get them too."""
    agent.start()
    server.tmux(*how)
    part = nudged(server)
    assert (part.status, "not typed" in part.note) == ("failed", True)
    assert agent.agents.prompts() == []


def test_an_agent_that_has_been_replaced_is_not_nudged(server: Server, agent: AgentPane) -> None:
    agent.start()
    (part,) = restart.plan(CONFIG, server.sessions(CONFIG.pool), {"ccl-auto-1"}, "backup", {})
    server.tmux("respawn-pane", "-k", "-t", "=ccl-auto-1:", "exec sleep 600")
    part = restart.perform(server.control(), part, {}, registry.of_the_pool(CONFIG))
    assert (part.status, "gone" in part.note) == ("failed", True)


def test_an_agent_behind_the_shell_that_started_it_is_not_a_shell(server: Server) -> None:
    """tmux reports the shell if it keeps running behind its command; Claude Code was refused for that."""
    server.start("ccl-auto-1", "sleep 600; true")
    server.start("ccl-auto-2", "exec sh -i")
    poll(lambda: server.row("ccl-auto-1").pane.command == "sh")
    assert has_company(server.row("ccl-auto-1").pane.pid)
    assert not has_company(server.row("ccl-auto-2").pane.pid)
