"""Recordings of real checks: they contain no secrets, and a replay decides as the checks did."""

import gzip
import json
import stat
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from failover_oneshot.analysis import recorder
from failover_oneshot.model import Outcome
from failover_oneshot.state.model import State
from tests.support.builders import NOW
from tests.support.operator import ctl, facts, stamp
from tests.support.recorded_checks import CLEAR, RESET, record
from tests.support.sandbox import HIT, Sandbox


def test_a_recorded_check_is_replayed_with_the_same_decision(blocked: Sandbox, tmp_path: Path) -> None:
    folder = tmp_path / "recorded"
    secret = "sk-ant-api03-" + "FAKE0" * 12
    blocked.server.show("ccl-auto-14", f"{CLEAR}\n  my key is {secret}\n\n❯ /home/op {blocked.server.home}/x\n")
    why = f"its store {blocked.home}/x of bob@corp.example is empty"
    blocked.set_state(active_account="main", accounts={"third": {"unusable": {"at": stamp(hours=-1), "reason": why}}})
    blocked.check("--record", str(folder))
    blocked.check("--record", str(folder))
    files = sorted(folder.iterdir())
    assert len(files) == 2
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    text = b"".join(gzip.decompress(path.read_bytes()) for path in files).decode()
    assert "FAKE" not in text, "law L4"
    assert str(blocked.home) not in text
    assert "bob@corp" not in text
    assert [r.outcome for r in recorder.read([folder], [])] == [Outcome.SWAPPED, Outcome.COOLDOWN]
    assert all(r.sessions for r in recorder.read([folder], [])), "sessions are recorded in a cooldown, too"

    told = facts(blocked, "replay", str(folder))
    assert (told["checks"], told["swaps"], told["differences"]) == (2, 1, 0)
    assert told["outcomes"] == {"swapped": 1, "cooldown": 1}
    one = tmp_path / "one.jsonl.gz"
    one.write_bytes(b"".join(path.read_bytes() for path in files))
    assert facts(blocked, "replay", str(one)) == told

    blocked.config["quota"] = {"pool_threshold": 4}
    done = ctl(blocked, "replay", str(folder))
    assert (done.returncode, "≠ recorded: swapped" in done.stdout, "none" in done.stdout) == (0, True, True)


def test_nothing_is_written_without_the_flag_or_in_a_dry_run(sandbox: Sandbox, tmp_path: Path) -> None:
    folder = tmp_path / "recorded"
    assert sandbox.run("--dry-run", "--record", str(folder)).returncode == 2
    assert sandbox.run("--record", "").returncode == 2
    sandbox.check()
    assert not folder.exists()


def test_a_recording_that_cannot_be_written_is_a_warning(sandbox: Sandbox, tmp_path: Path) -> None:
    place = tmp_path / "file"
    place.write_text("")
    done = sandbox.run("--record", str(place))
    assert (done.returncode, "cannot record this check" in done.stderr) == (0, True)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n\n",
        b"{",
        b"[]",
        b'{"version": 99}',
        b"\x1f\x8b",
        b"\x1f\x8b\x08" + b"x" * 50,
        b"\xff\xfe",
        b"null\n" * 20,
    ],
)
def test_files_that_are_not_recordings(sandbox: Sandbox, tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "r.jsonl.gz"
    file.write_bytes(content)
    done = ctl(sandbox, "replay", str(file))
    assert (done.returncode, "no records in" in done.stderr) == (1, True)
    assert len(done.stderr.splitlines()) <= 7


def test_a_damaged_part_does_not_spoil_the_rest(blocked: Sandbox, tmp_path: Path) -> None:
    good = msgspec.json.encode(record(0, RESET, RESET))
    newer = good.replace(b'"version":1', b'"version":2', 1)
    (tmp_path / "20261124T100000Z.json.gz").write_bytes(gzip.compress(good + b"\n")[:-9])
    (tmp_path / "20261124T100030Z.json.gz").write_bytes(gzip.compress(good + b"\n" + newer + b"\ngarbage\n"))
    done = ctl(blocked, "replay", str(tmp_path))
    assert (done.returncode, "1 check over" in done.stdout) == (0, True)
    assert [words in done.stderr for words in ("truncated", "newer version", "not a valid record")] == [True] * 3
    for path in ("/nonexistent", "/dev/zero"):
        assert ctl(blocked, "replay", path).returncode == 1


def test_without_accounts_in_the_config_those_recorded_are_used(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.config["accounts"] = []
    file = tmp_path / "r.jsonl"
    state = State(active_account="main", accounts={"spare": msgspec.convert({}, type=type(State().account("x")))})
    rows = [record(30 * n, RESET, RESET, CLEAR, state=state) for n in range(3)]
    file.write_bytes(b"\n".join(map(msgspec.json.encode, rows)))
    assert [e["to"] for e in facts(sandbox, "replay", str(file))["events"] if e["to"]] == ["spare"]


def test_two_days_of_a_pool_are_replayed(sandbox: Sandbox, tmp_path: Path) -> None:
    """The recording has 5,760 checks of ten sessions, with a hit now and then."""
    texts = [CLEAR] * 8
    rows = []
    for number in range(5760):
        reset = f"{NOW + timedelta(seconds=30 * number) + timedelta(hours=1):%-I:%M%p} (UTC)".lower().replace(
            "utc", "UTC"
        )
        hit = HIT.replace("12:20pm (UTC)", reset) if number % 600 > 590 else CLEAR
        rows.append(record(30 * number, hit, hit, *texts))
    file = tmp_path / "long.jsonl.gz"
    file.write_bytes(gzip.compress(b"\n".join(map(msgspec.json.encode, rows)), 1))
    told = facts(sandbox, "replay", str(file))
    assert told["checks"] == 5760
    assert told["swaps"] >= 2
    assert json.dumps(told).count("FAKE") == 0
