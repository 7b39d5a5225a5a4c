"""The fake agent in a real pane; the demo and the end-to-end tests rely on it."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from failover_oneshot.ctl.demo.sandbox import MACHINE, identity
from failover_oneshot.fake_agent.client import reset_words
from tests.support.agent_pane import AgentPane
from tests.support.polling import poll
from tests.support.tmux_server import Server

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def records(pane: AgentPane) -> list[dict[str, object]]:
    [path] = (pane.claude / "projects").glob("*/*.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def pane(server: Server) -> AgentPane:
    return AgentPane(server)


def test_a_typed_message_is_answered(pane: AgentPane) -> None:
    """It draws Claude Code's screen: the turn, its closing line, box and status, and the idle title."""
    pane.start()
    pane.server.tmux("send-keys", "-t", "=ccl-auto-1:", "-l", "please refactor the parser")
    pane.shows("❯ please refactor the parser")
    assert pane.agents.messages() == [], "a draft is not a message"
    pane.server.tmux("send-keys", "-t", "=ccl-auto-1:", "Enter")
    pane.shows("✻ Worked for 0s · done ")
    lines = [line.rstrip() for line in pane.screen().splitlines()]
    assert lines[5:8] == ["❯ please refactor the parser", "", "● Message 1 answered on main."]
    assert lines[-5:] == ["◐ medium · /effort".rjust(80), "─" * 80, "❯", "─" * 80, lines[-1]]
    assert lines[-1].startswith("  ⏵⏵ auto mode on")
    assert pane.server.tmux("display-message", "-p", "-t", "=ccl-auto-1:", "#{pane_title}") == "✳ Claude Code"
    [message] = pane.agents.messages()
    assert message["prompt"] == "please refactor the parser"
    assert (message["account"], message["source"], message["result"]) == ("main", "typed", "reply")


def test_an_exhausted_account_shows_the_limit_as_recorded(pane: AgentPane) -> None:
    """The screen is the recorded hit-5h-2h-80x24, line by line, with Claude Code's record of the hit."""
    until = datetime.now(UTC).replace(second=0, microsecond=0) + timedelta(hours=2)
    pane.exhaust(until)
    pane.start("--transcript", "please refactor the parser module")
    pane.shows("set to continue automatically")
    clock = reset_words(until, datetime.now(UTC)).removesuffix(" (UTC)")
    lines = [line.rstrip() for line in pane.screen().splitlines()]
    assert lines[5:9] == [
        "❯ please refactor the parser module",
        f"  ⎿  You've hit your 5-hour limit · resets {clock} (UTC)",
        "",
        f"● Usage limit reached · set to continue automatically at {clock}",
    ]
    assert lines[-3:-1] == [
        f"  ⚠ Usage limit reached · limit resets {clock}",
        f"    Continuing automatically at {clock} · Esc to cancel",
    ]
    hit = records(pane)[-1]
    assert (hit["type"], hit["error"], hit["apiError"]) == ("assistant", "rate_limit", "usage_limit_reached")
    assert hit["quotaLimits"] == {
        "status": "rejected",
        "rateLimitType": "five_hour",
        "resetsAt": int(until.timestamp()),
    }
    assert records(pane)[0]["accountUuid"] == identity("main")["accountUuid"]
    [session] = (pane.home / ".claude/sessions").iterdir()
    assert json.loads(session.read_text())["sessionId"] == hit["sessionId"]


def test_the_next_message_goes_out_on_the_credentials_of_that_moment(pane: AgentPane) -> None:
    """As with Claude Code, swapped files reach a running, blocked session at its next message."""
    pane.exhaust(datetime.now(UTC) + timedelta(hours=2))
    pane.start("one")
    pane.shows("You've hit your 5-hour limit")
    pane.log_in("backup")
    pane.server.tmux("send-keys", "-t", "=ccl-auto-1:", "Escape")
    poll(lambda: "Continuing automatically" not in pane.screen())
    pane.server.type(pane.name, "continue")
    pane.shows("answered on backup")
    assert [(m["account"], m["result"]) for m in pane.agents.messages()] == [("main", "hit"), ("backup", "reply")]


def test_it_continues_without_input_when_the_limit_resets(pane: AgentPane) -> None:
    """A waiting agent sends the same message again at the reset."""
    pane.start()
    pane.exhaust(datetime.now(UTC) + timedelta(seconds=4))
    pane.server.type(pane.name, "one")
    pane.shows("Usage limit reset · continuing automatically")
    pane.shows("answered on main")
    assert [(m["prompt"], m["source"]) for m in pane.agents.messages()] == [("one", "typed"), ("one", "automatic")]


def test_unknown_resets_and_missing_credentials(pane: AgentPane) -> None:
    """Both are shown in Claude Code's words, and the agent does not wait."""
    pane.exhaust("unknown")
    pane.start("one")
    pane.shows("You've hit your 5-hour limit")
    assert "resets" not in pane.screen()
    pane.live_credentials.unlink()
    pane.server.type(pane.name, "two")
    pane.shows("OAuth token revoked · Please run /login")
    assert [m["result"] for m in pane.agents.messages()] == ["hit", "auth"]


def test_a_paste_arrives_byte_for_byte_and_once(pane: AgentPane) -> None:
    """Bracketed paste keeps line breaks and unusual characters; the box shows a long paste as Claude Code does."""
    pane.start()
    text = "first  line\n  ü “quoted” $(id) `x` \\ ;\n世界" + " long" * 900
    pane.server.run("load-buffer", "-b", "t", "-", stdin=text)
    pane.server.tmux("paste-buffer", "-p", "-b", "t", "-t", "=ccl-auto-1:")
    pane.shows("❯ [Pasted text #1 +2 lines]")
    assert pane.agents.messages() == []
    pane.server.tmux("send-keys", "-t", "=ccl-auto-1:", "Enter")
    poll(pane.agents.messages)
    assert [m["prompt"] for m in pane.agents.messages()] == [text]


def test_a_working_agent_is_busy(pane: AgentPane) -> None:
    """The title's glyph and the status line show it; Escape interrupts."""
    pane.start("--work", "600", "long task")
    pane.shows("esc to interrupt")
    poll(lambda: pane.server.tmux("display-message", "-p", "-t", "=ccl-auto-1:", "#{pane_title}") == "◐ Claude Code")
    pane.server.tmux("send-keys", "-t", "=ccl-auto-1:", "Escape")
    pane.shows("Interrupted")
    assert pane.agents.messages() == []


def test_continue_and_resume_draw_the_old_conversation(pane: AgentPane) -> None:
    """The old hit is on the screen again, so the text alone does not prove a new hit."""
    pane.exhaust("unknown")
    pane.start("--transcript", "one")
    pane.shows("You've hit your 5-hour limit")
    session = str(records(pane)[0]["sessionId"])
    pane.log_in("backup")
    pane.server.tmux("new-session", "-d", "-s", "keep", "cat")
    for how in (["--continue"], ["--resume", session]):
        pane.server.tmux("kill-session", "-t", "=ccl-auto-1")
        pane.start("--transcript", *how)
        pane.shows("You've hit your 5-hour limit")
    pane.server.type(pane.name, "go on")
    pane.shows("answered on backup")
    assert {r["sessionId"] for r in records(pane)} == {session}
    owners = [identity(account)["accountUuid"] for account in ("main", "backup")]
    assert [r["accountUuid"] for r in records(pane) if r["type"] == "session-owner"] == owners


def test_nothing_to_continue_is_an_error(pane: AgentPane) -> None:
    """It has Claude Code's words and exit code."""
    done = pane.execute(["sh", "-c", pane.agents.command("--transcript", "--continue")])
    assert (done.returncode, done.stderr) == (1, "No conversation found to continue\n")


def test_a_refresh_rotates_the_tokens_and_waits_for_the_lock(pane: AgentPane) -> None:
    """It never writes while another process holds Claude Code's lock, and keeps the other keys."""
    pane.live_credentials.chmod(0o644)
    lock = Path(f"{pane.claude}.lock")
    lock.mkdir()
    pane.start("--refresh", "one")
    poll((pane.claude / ".oauth_refresh.lock").exists)
    assert "fake-main-2" in pane.live_credentials.read_text()
    assert pane.agents.messages() == []
    lock.rmdir()
    poll(pane.agents.messages)
    live = json.loads(pane.live_credentials.read_text())
    assert (live["claudeAiOauth"]["accessToken"], live["mcpOAuth"]) == ("fake-main-3", MACHINE["mcpOAuth"])
    assert pane.live_credentials.stat().st_mode & 0o777 == 0o600
    assert pane.agents.messages()[0]["account"] == "main"


def test_a_narrow_pane_is_wrapped_and_redrawn(pane: AgentPane) -> None:
    """The agent wraps its text under the first column, and redraws when the pane's size changes."""
    pane.exhaust(NOON.replace(year=NOON.year + 100))
    pane.start("one")
    pane.shows("You've hit your 5-hour limit")
    pane.server.tmux("resize-window", "-t", "=ccl-auto-1:", "-x", "40", "-y", "30")
    pane.shows("  ⎿  You've hit your 5-hour limit ·\n     resets ")
    assert "─" * 40 + "\n" in pane.screen()
