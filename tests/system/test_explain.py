"""`failoverctl explain` for a file, stdin and a session."""

import json
import os
import stat
from pathlib import Path

import pytest

from failover_oneshot.agents.claude.classify import classify
from failover_oneshot.agents.claude.records import project_folder
from failover_oneshot.config.model import Quota
from failover_oneshot.model import Kind
from tests.support.operator import STATES, ctl, every_state, facts, huge, in_pane, put_state, screen
from tests.support.records import CWD, SESSION, announce, answer, hit, prompt, write
from tests.support.sandbox import HIT, Sandbox, hit_screen


def test_a_file_stdin_and_a_session_give_the_same(blocked: Sandbox, tmp_path: Path) -> None:
    file = tmp_path / "screen.txt"
    file.write_text(hit_screen())
    by_file = facts(blocked, "explain", str(file))
    by_stdin = json.loads(ctl(blocked, "explain", "-", "--json", stdin=hit_screen()).stdout)
    by_session = facts(blocked, "explain", "ccl-auto-11")
    rules = [told["panes"][0]["reading"]["rule"] for told in (by_file, by_stdin, by_session)]
    assert rules == ["quota.status"] * 3
    assert by_session["finding"]["counted"] is True
    assert by_session["decision"]["outcome"] == by_file["decision"]["outcome"] == "swapped"
    blocked.check()
    text = " ".join(ctl(blocked, "explain", "ccl-auto-11").stdout.split())
    assert "not counted: handled by an earlier swap" in text
    assert "cooldown: " in text


def test_it_changes_nothing_and_reads_no_other_session(blocked: Sandbox) -> None:
    facts(blocked, "status")
    before = blocked.fingerprint()
    assert ctl(blocked, "explain", "ccl-auto-11").returncode == 0
    done = ctl(blocked, "explain", "ccl-auto-1")
    assert (done.returncode, "(sessions: ccl-auto-11, ccl-auto-12, ccl-auto-13)" in done.stderr) == (1, True)
    assert blocked.fingerprint() == before


def test_without_a_config(sandbox: Sandbox) -> None:
    done = ctl(sandbox, "explain", stdin="error: usage limit reached", FAILOVER_CONFIG="")
    assert (done.returncode, "quota.daemon" in done.stdout) == (0, True)
    assert ctl(sandbox, "explain", "--config", "/nonexistent", stdin="x").returncode == 78
    sandbox.config["quota"] = {"pool_treshold": 1}
    done = ctl(sandbox, "explain", stdin="error: usage limit reached")
    assert (done.returncode, "built-in rules" in done.stderr) == (0, True)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("/nonexistent/file",), 1),
        (("/tmp",), 1),
        (("-", "--at", "soon"), 2),
        (("-", "--at", "2026-11-23T10:23Z"), 0),
        (("-", "--title", "⠋ working"), 0),
    ],
)
def test_what_it_is_given(sandbox: Sandbox, arguments: tuple[str, ...], code: int) -> None:
    done = ctl(sandbox, "explain", *arguments, stdin=HIT)
    assert (done.returncode, len(done.stderr.splitlines())) == (code, bool(code))


@pytest.mark.parametrize("text", ["", "\0\xff\x1b[2J", "x" * 100_000, "❯\n" * 5000])
def test_any_stdin(sandbox: Sandbox, text: str) -> None:
    done = ctl(sandbox, "explain", stdin=text)
    assert (done.returncode, "\x1b" in done.stdout) == (0, False)


def test_a_session_is_kept_as_a_recording(blocked: Sandbox, tmp_path: Path) -> None:
    folder = tmp_path / "panes" / "quota"
    secret = "sk-ant-api03-" + "FAKE0" * 20
    blocked.server.show("ccl-auto-14", hit_screen().replace("please refactor", f"my key is {secret}"))
    for _ in range(2):
        assert ctl(blocked, "explain", "ccl-auto-14", "--save", str(folder)).returncode == 0
    kept = sorted(folder.iterdir())
    assert len(kept) == 2, "a recording was overwritten"
    for path in kept:
        text = path.read_text(encoding="utf-8")
        assert "FAKE0" not in text
        assert classify(text, "", Quota()).kind is Kind.QUOTA
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    done = ctl(blocked, "explain", "ccl-auto-14", "--save", os.devnull)
    assert (done.returncode, "cannot write" in done.stderr) == (1, True)


def test_the_agents_own_record_counts_more_than_the_screen(blocked: Sandbox) -> None:
    """The screen still shows the hit, but the conversation went on; both are shown, and the record decides."""
    announce(blocked.claude, blocked.server.row("ccl-auto-11").pane.pid)
    conversation = blocked.claude / "projects" / project_folder(CWD) / f"{SESSION}.jsonl"
    conversation.parent.mkdir(parents=True)
    write(conversation, prompt(1), answer(2))
    told = facts(blocked, "explain", "ccl-auto-11")
    assert (told["panes"][0]["reading"]["kind"], told["panes"][0]["record"]["kind"]) == ("quota", "ok")
    assert (told["finding"]["blocked"], told["finding"]["evidence"]) == (False, "transcript")
    assert "Records       ok (overrides the screen)" in ctl(blocked, "explain", "ccl-auto-11").stdout
    write(conversation, prompt(1), hit(2))
    assert "quota (overrides the screen)" in ctl(blocked, "explain", "ccl-auto-11").stdout


@every_state
def test_missing_broken_and_newer_states(blocked: Sandbox, kind: str) -> None:
    """The screen is explained with any state but one of a newer version."""
    text, code, _ = STATES[kind]
    put_state(blocked, text)
    done = ctl(blocked, "explain", "ccl-auto-11")
    assert done.returncode == (code if code == 74 else 0)
    assert code == 74 or "quota.status" in done.stdout
    assert not list(blocked.state_file.parent.glob("*corrupt*"))


def test_a_huge_state(blocked: Sandbox) -> None:
    put_state(blocked, json.dumps(huge()))
    assert "quota.status" in ctl(blocked, "explain", "ccl-auto-11").stdout


@pytest.mark.parametrize("width", [80, 200])
def test_in_a_real_terminal_it_fits(blocked: Sandbox, width: int) -> None:
    name = in_pane(blocked, "explain", "ccl-auto-11", width=width)
    lines = screen(blocked, name, "A check now")
    assert any("decides" in line for line in lines)
    assert any(line.endswith("…") for line in lines) == (width == 80), "long lines are cut, never wrapped"
