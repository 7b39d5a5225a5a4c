"""`failoverctl explain`: what it says about the recorded panes agrees with what a check says about them."""

import json
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failover_oneshot.agents.base import CHROME
from failover_oneshot.agents.claude.classify import classify
from failover_oneshot.agents.claude.explain import explain
from failover_oneshot.agents.claude.records import project_folder
from failover_oneshot.analysis.explain import consequence, in_words
from failover_oneshot.config.model import Quota
from failover_oneshot.lib.scrub import scrub
from failover_oneshot.model import Kind
from tests.support.builders import NOW, make_config
from tests.support.operator import STATES, ctl, every_state, facts, huge, in_pane, put_state, screen
from tests.support.paths import PANES
from tests.support.records import CWD, SESSION, announce, answer, hit, prompt, write
from tests.support.sandbox import HIT, Sandbox, hit_screen

RECORDINGS = sorted(PANES.glob("*/*.txt"))


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_each_recorded_pane_is_explained_line_for_line(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    told = explain(text, "", Quota())
    assert told.reading == classify(text, "", Quota())
    assert [line.text for line in told.lines] == [line.rstrip() for line in text.rstrip().split("\n")]
    fired = [line for line in told.lines if line.fired]
    if told.reading.rule and told.reading.kind is not Kind.OK:
        assert len(fired) == 1, "the line on which the rule fired is shown"
        assert fired[0].examined or told.busy


def test_chrome_is_chrome_and_the_message_is_an_answer() -> None:
    parts = {" ".join(line.text.split())[:18]: line for line in explain(HIT, "", Quota()).lines}
    hit = parts["⎿ You've hit your "]
    assert (parts["❯ please refactor "].part, hit.part, hit.examined) == ("prompt", "answer", True)
    assert (parts["❯"].part, parts["◐ medium · /effort"].part) == (CHROME, CHROME)
    assert parts["⚠ Usage limit reac"].fired
    assert parts["▐▛███▛█ Claude Cod"].examined is False


@pytest.mark.parametrize(
    ("text", "rule", "number"),
    [
        ("line\nerror: usage limit reached", "quota.daemon", 2),
        ("5-hour limit reached ∙ resets 3am\n\n", "quota.window-reached", 1),
        ("❯ go\n\n  ⎿  API Error: 529 Overloaded", "error.api", 3),
        ("❯ go\n\n  ⎿  my own words: none left today", "quota.extra", 3),
        ("❯ go\n  ⎿  too many requests: 529 (not your usage limit)", "error.veto", 2),
    ],
)
def test_the_line_that_decided(text: str, rule: str, number: int) -> None:
    told = explain(text, "", Quota(extra_patterns=("/none left \\w+/",)))
    assert told.reading.rule == rule
    assert [line.number for line in told.lines if line.fired] == [number]


@given(st.text(alphabet=st.sampled_from("❯●⎿✻▎⚠─│ \n\tab1.:") | st.characters(), max_size=400), st.text(max_size=3))
def test_any_text_is_explained(text: str, title: str) -> None:
    told = explain(text, title, Quota())
    assert told.reading == classify(text, title, Quota())
    assert [line.number for line in told.lines] == list(range(1, len(told.lines) + 1))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("You've hit your session limit · resets 11am (UTC)", "the check ends as swapped"),
        ("You've hit your session limit · resets 9:30am (UTC)", "reset has passed (09:30 UTC)"),
        ("You've hit your session limit · resets 10:01am (UTC)", "nearer than quota.patience"),
        ("You've hit your limit", "the first check suspects a hit, and the next one in a row ends as swapped"),
        ("OAuth token revoked · Please run /login", "not in quota.swap_on"),
        ("API Error: 529 Overloaded", "no check swaps for it"),
        ("all is well", "not blocked (ok)"),
    ],
)
@pytest.mark.parametrize("accounts", [(), ("main", "backup")])
def test_what_would_happen(text: str, words: str, accounts: tuple[str, ...]) -> None:
    config = make_config(accounts)
    assert words in in_words(consequence(config, classify(text, "", config.quota), NOW, "UTC"))


# --- recordings are free of secrets ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("key sk-ant-api03-FAKEFAKEFAKE done", "key [redacted] done"),
        ("I am bob.smith@corp.example.com", "I am someone@example.invalid"),
        ("in /home/bob/work and /home/bobby", "in ~/work and /home/bobby"),
        (f"  {'FAKE0aB1' * 9}\n  cD2eF3gH\n  words", "  [redacted]\n  [redacted]\n  words"),
        ("token=FAKEsecretFAKE\nplain words below", "token=[redacted]\nplain words below"),
        ("Claude usage limit reached · resets 8pm", "Claude usage limit reached · resets 8pm"),
    ],
)
def test_what_is_blanked(text: str, expected: str) -> None:
    assert scrub(text, ["/home/bob", "", "/"]) == expected


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_a_recording_is_read_the_same_without_its_secrets(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    before, after = classify(text, "", Quota()), classify(scrub(text, ["/home/op"]), "", Quota())
    assert (before.kind, before.rule, before.reset_text) == (after.kind, after.rule, after.reset_text)


# --- the real program ------------------------------------------------------------------------------------------------


def test_a_file_stdin_and_a_session_say_the_same(blocked: Sandbox, tmp_path: Path) -> None:
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
    assert "does not count: it shows a hit that an earlier swap has answered" in text
    assert "cooldown for another" in text


def test_it_changes_nothing_and_looks_at_nobody_else(blocked: Sandbox) -> None:
    facts(blocked, "status")
    before = blocked.fingerprint()
    assert ctl(blocked, "explain", "ccl-auto-11").returncode == 0
    done = ctl(blocked, "explain", "ccl-auto-1")
    assert (done.returncode, "there are: ccl-auto-11, ccl-auto-12, ccl-auto-13" in done.stderr) == (1, True)
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
    assert len(kept) == 2, "nothing is overwritten"
    for path in kept:
        text = path.read_text(encoding="utf-8")
        assert "FAKE0" not in text
        assert classify(text, "", Quota()).kind is Kind.QUOTA
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    done = ctl(blocked, "explain", "ccl-auto-14", "--save", os.devnull)
    assert (done.returncode, "cannot write" in done.stderr) == (1, True)


def test_what_the_clients_own_record_says_goes_before_the_screen(blocked: Sandbox) -> None:
    """The screen still shows the hit, the conversation went on: told apart, and the record decides."""
    announce(blocked.claude, blocked.server.row("ccl-auto-11").pane.pid)
    conversation = blocked.claude / "projects" / project_folder(CWD) / f"{SESSION}.jsonl"
    conversation.parent.mkdir(parents=True)
    write(conversation, prompt(1), answer(2))
    told = facts(blocked, "explain", "ccl-auto-11")
    assert (told["panes"][0]["reading"]["kind"], told["panes"][0]["record"]["kind"]) == ("quota", "ok")
    assert (told["finding"]["blocked"], told["finding"]["evidence"]) == (False, "transcript")
    assert "Its records   say ok, and decide" in ctl(blocked, "explain", "ccl-auto-11").stdout
    write(conversation, prompt(1), hit(2))
    assert "say quota, and decide" in ctl(blocked, "explain", "ccl-auto-11").stdout


@every_state
def test_states_that_are_none(blocked: Sandbox, kind: str) -> None:
    """The screen is explained whatever the state is; only a foreign one keeps it from being judged."""
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
