"""`failoverctl report` on a real swap and a real wait, as HTML and as JSON."""

import json
import stat
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from failover_oneshot.ctl.demo.sandbox import CTL
from failover_oneshot.ctl.demo.server import Run
from failover_oneshot.state.model import stamp
from tests.support.builders import NOW
from tests.support.sandbox import Sandbox
from tests.support.skeleton import Skeleton


def report(sandbox: Sandbox, *argv: str, code: int = 0) -> Run:
    done = sandbox.execute([*CTL, "report", *sandbox.flags(*argv)])
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


def test_a_real_swap_is_in_the_report_with_its_evidence(blocked: Sandbox) -> None:
    """The panes' text arrives in the state and on the page."""
    assert blocked.check()["outcome"] == "swapped"
    [entry] = blocked.state()["history"]
    assert list(entry["hits"]) == ["ccl-auto-11", "ccl-auto-12", "ccl-auto-13"]
    assert entry["hits"]["ccl-auto-11"] == blocked.state()["sessions"]["ccl-auto-11"]["hit"]["first_seen"]
    assert entry["exhausted_until"] == blocked.state()["accounts"]["main"]["exhausted_until"]
    target = blocked.home / "week.html"
    assert str(target) in report(blocked, "--since", "7d", "-o", "week.html").stdout
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    shown = Skeleton(target.read_bytes()).text
    assert "main → backup" in shown
    assert "You've hit your" in shown
    facts = json.loads(report(blocked, "--json").stdout)
    assert (facts["version"], facts["events"][0]["from"], len(facts["hits"])) == (1, "main", 3)


def test_a_wait_that_ended_is_in_the_history(blocked: Sandbox) -> None:
    soon = stamp(datetime.now(NOW.tzinfo) + timedelta(hours=1))
    blocked.set_state(active_account="main", accounts={"backup": {"exhausted_until": soon}})
    assert blocked.check()["outcome"] == "waiting"
    assert blocked.state()["history"] == []
    since = blocked.state()["waiting"]["since"]
    past = stamp(datetime.now(NOW.tzinfo) - timedelta(minutes=1))
    blocked.set_state(accounts={**blocked.state()["accounts"], "backup": {"exhausted_until": past}})
    assert blocked.check()["outcome"] == "swapped"
    wait, swap = blocked.state()["history"]
    assert (wait["outcome"], wait["since"], wait["account"], swap["outcome"]) == ("waiting", since, "backup", "swapped")
    assert json.loads(report(blocked, "--json").stdout)["waited_seconds"] >= 0


@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        (["--since", "soon"], 2, "not a valid time: 'soon'"),
        (["--since", "999999d"], 2, "not a valid time: '999999d'"),
        (["--since", "2999-01-01"], 2, "must be in the past"),
        (["-o", "/proc/nowhere/x.html"], 74, "cannot write /proc/nowhere/x.html"),
    ],
)
def test_an_impossible_request_is_one_line(sandbox: Sandbox, argv: list[str], code: int, words: str) -> None:
    sandbox.save_config()
    assert words in report(sandbox, *argv, code=code).stderr


@pytest.mark.parametrize("content", ["", "{", '{"version": 1, "history": [{"at": 1}, {}]}'])
def test_empty_broken_and_unexpected_states_make_a_page_too(sandbox: Sandbox, content: str) -> None:
    sandbox.save_config()
    sandbox.state_file.parent.mkdir()
    sandbox.state_file.write_text(content)
    report(sandbox, "-o", "r.html")
    assert "no history" in Skeleton((sandbox.home / "r.html").read_bytes()).text
    assert sandbox.state_file.read_text() == content
    assert Path(sandbox.home / "r.html").exists()
