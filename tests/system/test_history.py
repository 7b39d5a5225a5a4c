"""`failoverctl history` as an operator runs it."""

import json

from tests.support.operator import ctl, facts, huge, put_state, stamp
from tests.support.sandbox import Sandbox


def test_a_swap_and_a_wait_are_in_the_history_once(blocked: Sandbox) -> None:
    assert "no swaps yet" in ctl(blocked, "history").stdout
    blocked.set_state(active_account="main", accounts={"backup": {"exhausted_until": stamp(hours=1)}})
    blocked.check()
    blocked.check()
    blocked.set_state(accounts={})
    blocked.check()
    entries = facts(blocked, "history")["entries"]
    assert [(e["outcome"], e["from"], e["to"]) for e in entries] == [
        ("waiting", "main", None), ("swapped", "main", "backup"),
    ]  # fmt: skip
    text = " ".join(ctl(blocked, "history").stdout.split())
    assert "swapped main → backup" in text
    assert "You've hit your 5-hour limit" in text, "the evidence is missing"
    assert "recreate done: ccl-auto-11, ccl-auto-12, ccl-auto-13" in text


def test_how_far_back(sandbox: Sandbox) -> None:
    put_state(sandbox, json.dumps(huge()))
    lines = ctl(sandbox, "history").stdout.splitlines()
    assert lines[0] == "… 9980 older (-n 0 shows all)"
    assert sum("swapped" in line and "ago" in line for line in lines) == 20
    assert len(facts(sandbox, "history", "--since", "1000m")["entries"]) in {9, 10}
    assert facts(sandbox, "history")["total"] == 10_000
    assert len(facts(sandbox, "history", "-n", "7")["entries"]) == 7
    assert ctl(sandbox, "history", "--since", "today").returncode == 0
    assert ctl(sandbox, "history", "--since", "soon").returncode == 2


def test_entries_of_an_unexpected_form(sandbox: Sandbox) -> None:
    strange = [
        {},
        {"at": 7, "outcome": []},
        {"at": "2026-01-01", "outcome": "danced", "sessions": 3, "rejected": "x"},
        {"at": "0001-01-01T00:00:00+14:00"},
        {"at": stamp(), "reason": "\x1b[31mred", "to": {"a": 1}},
    ]
    put_state(sandbox, json.dumps({"version": 1, "history": strange}))
    done = ctl(sandbox, "history")
    assert (done.returncode, "danced" in done.stdout, "\x1b" in done.stdout) == (0, True, False)
    assert ctl(sandbox, "history", "--since", "1h").returncode == 0


def test_the_hits_of_a_swap_are_listed_once_for_each_wording(sandbox: Sandbox) -> None:
    hits = [{"session": f"ccl-auto-{n}", "snippet": "You've hit your limit"} for n in range(11, 14)]
    entry = {"at": stamp(), "outcome": "swapped", "from": "main", "to": "backup", "hits": [*hits, 7, {"snippet": "x"}]}
    put_state(sandbox, json.dumps({"version": 1, "history": [entry]}))
    text = ctl(sandbox, "history").stdout
    assert "“You've hit your limit” on ccl-auto-11, ccl-auto-12, ccl-auto-13" in text
