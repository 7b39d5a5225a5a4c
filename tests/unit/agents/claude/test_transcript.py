"""The client's own records: real files and real processes."""

import json
import os
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failover_oneshot.agents.claude.processes import client_of, clients_of, find_clients
from failover_oneshot.agents.claude.transcript import read_panes, read_tail
from failover_oneshot.model import AgentProcess, Evidence, Kind, Limit
from tests.support.polling import poll
from tests.support.records import CWD, SESSION, announce, answer, failure, hit, prompt, stamp, write

CLIENT = AgentProcess(pid=1, session_id=SESSION, cwd=CWD, status="idle")
OWNER = {"type": "session-owner", "accountUuid": "00000000-aaaa-bbbb-cccc-000000000001"}


def old_hit(second: int, text: str = "You've hit your session limit · resets 6:23am (UTC)") -> dict[str, Any]:
    """As 2.1.197 writes it: no exact fields."""
    return failure(second, text, "rate_limit", 429, uuid="17adaa42")


@pytest.fixture
def conversation(tmp_path: Path) -> Path:
    folder = tmp_path / "projects" / "-srv-work-one"
    folder.mkdir(parents=True)
    return folder / f"{SESSION}.jsonl"


def test_a_hit_is_exact(tmp_path: Path, conversation: Path) -> None:
    write(conversation, OWNER, prompt(1), hit(2), {"type": "system", "timestamp": stamp(3)}, {"type": "last-prompt"})
    reading = read_tail(tmp_path, CLIENT)
    assert reading is not None
    assert (reading.kind, reading.evidence, reading.limit) == (Kind.QUOTA, Evidence.TRANSCRIPT, Limit.FIVE_HOUR)
    assert reading.resets_at == datetime(2026, 11, 24, 6, 30, 9, tzinfo=UTC)
    assert reading.printed_at == datetime(2026, 11, 24, 4, 30, 2, 32000, tzinfo=UTC)
    assert reading.identity == "transcript:223f292a-0002"
    assert reading.account_uuid == OWNER["accountUuid"]
    assert reading.snippet == "You've hit your 5-hour limit · resets 6:30am (UTC)"
    assert (reading.reset_text, reading.rule) == ("6:30am (UTC)", "transcript.usage_limit_reached")
    assert (reading.busy, reading.moved_on) == (False, False)


OK, MOVED_ON = (Kind.OK, False), (Kind.OK, True)


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ([], None),
        ([OWNER, {"type": "mode"}], None),
        ([hit(1)], (Kind.QUOTA, False)),
        ([hit(1), answer(2)], MOVED_ON),
        ([hit(1), prompt(2)], MOVED_ON),
        ([hit(1), prompt(2, [{"type": "text", "text": "again"}])], MOVED_ON),
        ([answer(1), hit(2)], (Kind.QUOTA, False)),
        ([hit(1), prompt(2), hit(3)], (Kind.QUOTA, False)),
        # what does not move a session on
        ([hit(1), prompt(2, isMeta=True)], (Kind.QUOTA, False)),
        ([hit(1), prompt(2, isSidechain=True), answer(3, isSidechain=True)], (Kind.QUOTA, False)),
        ([hit(1), prompt(2, [{"type": "tool_result", "content": "x"}])], (Kind.QUOTA, False)),
        ([hit(1), prompt(2, "x", toolUseResult={"stdout": "x"})], (Kind.QUOTA, False)),
        ([hit(1), prompt(2, "<command-name>/rate-limit-options</command-name>")], (Kind.QUOTA, False)),
        ([hit(1), prompt(2, "<local-command-stdout></local-command-stdout>")], (Kind.QUOTA, False)),
        ([hit(1), prompt(2, [{"type": "text", "text": "[Request interrupted by user]"}])], (Kind.QUOTA, False)),
        ([hit(1), prompt(2, "")], (Kind.QUOTA, False)),
        ([hit(1), {**failure(2, "No response requested.", "", 0), "isApiErrorMessage": False}], (Kind.QUOTA, False)),
        # a subagent's hit is not the session's
        ([answer(1), hit(2, isSidechain=True)], MOVED_ON),
        # words of the assistant prove nothing
        ([answer(1, "You've hit your 5-hour limit · resets 6:30am (UTC)")], MOVED_ON),
        ([answer(1, apiError="usage_limit_reached", isApiErrorMessage="true")], MOVED_ON),
        # older clients, and fields that are missing
        ([old_hit(1)], (Kind.QUOTA, False)),
        ([old_hit(1, "Claude AI usage limit reached|1760000400")], (Kind.QUOTA, False)),
        ([{**hit(1), "apiError": None}], (Kind.QUOTA, False)),
        ([{**hit(1), "quotaLimits": None}], (Kind.QUOTA, False)),
        ([old_hit(1, "You've hit your fast limit · resets 3pm")], None),
        ([old_hit(1, "Something new")], None),
        # the newest says nothing sure, so the older ones are not asked: the screen decides
        ([hit(1), old_hit(2, "Something new")], None),
        # other errors
        ([failure(1, "API Error: Server is temporarily limiting requests (not your usage limit)", "rate_limit", 429)],
         (Kind.SERVER_ERROR, False)),
        ([failure(1, "API Error: Request rejected (429) · Too Many Requests", "rate_limit", 429)],
         (Kind.SERVER_ERROR, False)),
        ([failure(1, "API Error: 529 Overloaded", "server_error", 529)], (Kind.SERVER_ERROR, False)),
        ([failure(1, "Oh dear", "unknown", 503)], (Kind.SERVER_ERROR, False)),
        ([failure(1, "OAuth token revoked · Please run /login", "authentication_failed", 403)], (Kind.AUTH, False)),
        ([failure(1, "Oh dear", "authentication_failed", 401)], (Kind.AUTH, False)),
        ([failure(1, "Credit balance is too low", "billing_error", 400)], (Kind.BILLING, False)),
        ([failure(1, "Oh dear", "billing_error", 400)], (Kind.BILLING, False)),
        ([failure(1, "Prompt is too long", "invalid_request", 400)], OK),
        ([failure(1, "API Error: 400 You have reached your specified API usage limits.", "invalid_request", 400)],
         (Kind.QUOTA, False)),
        ([hit(1), failure(2, "API Error: 529 Overloaded", "server_error", 529)], (Kind.SERVER_ERROR, False)),
    ],
)  # fmt: skip
def test_the_newest_record_decides(
    tmp_path: Path, conversation: Path, records: list[dict[str, Any]], expected: tuple[Kind, bool] | None
) -> None:
    write(conversation, *records)
    reading = read_tail(tmp_path, CLIENT)
    assert (reading and (reading.kind, reading.moved_on)) == expected


def test_newest_means_by_the_records_times(tmp_path: Path, conversation: Path) -> None:
    """2.1.197 writes the first answer of a conversation before its prompt."""
    write(conversation, hit(9), prompt(8))
    reading = read_tail(tmp_path, CLIENT)
    assert reading is not None
    assert reading.kind is Kind.QUOTA
    write(conversation, hit(9), {**prompt(8), "timestamp": None})
    reading = read_tail(tmp_path, CLIENT)
    assert reading is not None
    assert reading.moved_on, "without times the order of the file counts"


@pytest.mark.parametrize(
    ("name", "words", "limit"),
    [
        ("five_hour", "5-hour limit", Limit.FIVE_HOUR),
        ("seven_day", "weekly limit", Limit.SEVEN_DAY),
        ("seven_day_opus", "Opus limit", Limit.SEVEN_DAY_OPUS),
        ("seven_day_sonnet", "Sonnet limit", Limit.SEVEN_DAY_SONNET),
        ("seven_day_overage_included", "Fable limit", Limit.MODEL),
        ("overage", "limit", Limit.OVERAGE),
        ("five_hour", "monthly spend limit", Limit.SPEND),
        ("something_new", "weekly limit", Limit.SEVEN_DAY),
        ("something_new", "limit", Limit.UNKNOWN),
    ],
)
def test_limits(tmp_path: Path, conversation: Path, name: str, words: str, limit: Limit) -> None:
    write(conversation, hit(1, name, words))
    reading = read_tail(tmp_path, CLIENT)
    assert reading is not None
    assert reading.limit is limit


@pytest.mark.parametrize("value", [None, "soon", True, -1, 0, 10**30, 1e300, [], {"a": 1}])
def test_an_odd_reset_is_none_and_the_words_remain(tmp_path: Path, conversation: Path, value: object) -> None:
    write(conversation, {**hit(1), "quotaLimits": {"status": "rejected", "resetsAt": value, "rateLimitType": value}})
    reading = read_tail(tmp_path, CLIENT)
    assert reading is not None
    assert (reading.resets_at, reading.reset_text, reading.limit) == (None, "6:30am (UTC)", Limit.FIVE_HOUR)


def test_each_hit_has_its_own_identity(tmp_path: Path, conversation: Path) -> None:
    """The same words twice are two hits; a uuid that is none of ours is not taken over."""
    found = set()
    for record in (hit(1), hit(2), hit(2), {**hit(3), "uuid": "../../x\n"}, {**hit(4), "uuid": None}):
        write(conversation, record)
        reading = read_tail(tmp_path, CLIENT)
        assert reading is not None
        found.add(reading.identity)
    assert len(found) == 4
    assert all("\n" not in identity for identity in found)


def test_the_owner_is_the_one_before_the_hit(tmp_path: Path, conversation: Path) -> None:
    other = {"type": "session-owner", "accountUuid": "other"}
    write(conversation, other, answer(1), OWNER, hit(2), other)
    reading = read_tail(tmp_path, CLIENT)
    assert reading is not None
    assert reading.account_uuid == OWNER["accountUuid"]


def test_a_secret_does_not_reach_the_snippet(tmp_path: Path, conversation: Path) -> None:
    secret = "sk-ant-oat01-FAKEFAKEFAKEFAKEFAKE"
    write(conversation, failure(1, f"API Error: 529 Overloaded\nfor {secret}", "server_error", 529))
    reading = read_tail(tmp_path, CLIENT)
    assert reading is not None
    assert "FAKE" not in str(reading)
    assert (reading.snippet or "").startswith("API Error: 529 Overloaded for ")


def test_a_busy_client_is_said_to_be_busy(tmp_path: Path, conversation: Path) -> None:
    write(conversation, hit(1))
    reading = read_tail(tmp_path, AgentProcess(pid=1, session_id=SESSION, cwd=CWD, status="busy"))
    assert reading is not None
    assert reading.busy


# Files of any kind.


def test_only_the_end_of_a_huge_file_is_read(tmp_path: Path, conversation: Path) -> None:
    write(conversation, hit(1))
    with conversation.open("r+b") as file:
        file.seek(1 << 30)  # a hole: it takes no room on the disk
        file.write(b'"}\n' + json.dumps(answer(2)).encode() + b"\n")
    reading = read_tail(tmp_path, CLIENT)
    assert reading is not None
    assert reading.moved_on


def test_one_endless_line_says_nothing(tmp_path: Path, conversation: Path) -> None:
    write(conversation, hit(1))
    with conversation.open("ab") as file:
        file.truncate(100 << 20)
    assert read_tail(tmp_path, CLIENT) is None


def test_a_record_that_is_cut_off_by_the_tail_is_dropped(tmp_path: Path, conversation: Path) -> None:
    """The rest of a line could look like a record."""
    inner = json.dumps(hit(5))
    conversation.write_text('{"padding": "' + "x" * 100_000 + inner + "\n" + json.dumps(answer(1)) + "\n")
    reading = read_tail(tmp_path, CLIENT)
    assert reading is not None
    assert reading.moved_on


@pytest.mark.parametrize(
    "line",
    [
        b'{"type": "assistant", "message": {"cont',
        b"\0\0\0\0",
        b"\xff\xfe{}",
        b'{"type": "\xff"}',
        b"[" * 30_000,
        b'{"type": ' + b'{"a":' * 10_000,
        b"[]",
        b"null",
        b"17",
        b'"text"',
        b'{"type": ["user"], "message": {"content": {"a": 1}}}',
        b'{"type": "user", "message": "text"}',
        b'{"type": "user", "message": {"content": {"text": 1}}}',
        b'{"type": "session-owner", "accountUuid": {}}',
        b'{"type": "system", "timestamp": 1e999}',
        b'{"type": "system", "uuid": ' + b"9" * 10_000 + b"}",
    ],
    ids=lambda line: line[:30],
)
def test_odd_lines_are_passed_over(tmp_path: Path, conversation: Path, line: bytes) -> None:
    conversation.write_bytes(json.dumps(hit(1)).encode() + b"\r\n" + line)
    reading = read_tail(tmp_path, CLIENT)
    assert reading is not None
    assert reading.kind is Kind.QUOTA


def test_only_a_regular_file_is_read(tmp_path: Path, conversation: Path) -> None:
    real = tmp_path / "elsewhere.jsonl"
    write(real, hit(1))
    conversation.symlink_to(real)
    assert read_tail(tmp_path, CLIENT) is None
    conversation.unlink()
    conversation.symlink_to(conversation)
    assert read_tail(tmp_path, CLIENT) is None
    conversation.unlink()
    os.mkfifo(conversation)
    assert read_tail(tmp_path, CLIENT) is None
    conversation.unlink()
    conversation.mkdir()
    assert read_tail(tmp_path, CLIENT) is None
    conversation.rmdir()
    assert read_tail(tmp_path, CLIENT) is None
    write(conversation, hit(1))
    assert read_tail(tmp_path, CLIENT) is not None


@pytest.mark.parametrize("session", ["../../other", "", ".", "a/b", "a\0b", "x" * 200, "é"])
def test_a_session_id_is_no_path(tmp_path: Path, session: str) -> None:
    (tmp_path / "projects" / "-srv-work-one").mkdir(parents=True)
    write(tmp_path / "other.jsonl", hit(1))
    assert read_tail(tmp_path, AgentProcess(pid=1, session_id=session, cwd=CWD)) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.sampled_from([*hit(1), "isMeta", "toolUseResult", "accountUuid"])


@given(st.lists(st.tuples(st.sampled_from([hit(1), prompt(2), answer(3), OWNER]), st.dictionaries(FIELDS, JSON))))
def test_any_record_is_a_reading_or_none(
    tmp_path_factory: pytest.TempPathFactory, changed: list[tuple[dict[str, Any], dict[str, Any]]]
) -> None:
    folder = tmp_path_factory.mktemp("claude")
    (folder / "projects" / "-srv-work-one").mkdir(parents=True)
    path = folder / "projects" / "-srv-work-one" / f"{SESSION}.jsonl"
    write(path, *({**record, **odd} for record, odd in changed))
    reading = read_tail(folder, CLIENT)
    assert reading is None or reading.evidence is Evidence.TRANSCRIPT


# Clients and panes.


class Family:
    """A real process with a real child, as a pane's shell and its client."""

    def __init__(self) -> None:
        script = "sleep 600 & echo $!; wait"
        self.shell = subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, text=True)
        assert self.shell.stdout
        self.child = int(self.shell.stdout.readline())

    def end(self) -> None:
        for pid in (self.child, self.shell.pid):
            os.kill(pid, 9)
        self.shell.wait()
        assert self.shell.stdout
        self.shell.stdout.close()


@pytest.fixture
def family() -> Iterator[Family]:
    made = Family()
    yield made
    made.end()


def test_a_panes_client_is_its_process_or_a_descendant(tmp_path: Path, family: Family) -> None:
    announce(tmp_path, family.child)
    clients = find_clients(tmp_path)
    expected = AgentProcess(pid=family.child, session_id=SESSION, cwd=CWD, status="idle")
    assert clients == {family.child: expected}
    assert client_of(family.shell.pid, clients) == expected
    assert client_of(family.child, clients) == expected
    assert client_of(os.getpid(), clients) == expected
    assert client_of(1, clients) is None
    assert clients_of([family.shell.pid, 1, 2**22 + 5], clients) == {family.shell.pid: expected}


def test_of_a_client_and_its_own_child_the_outer_one_is_the_panes(tmp_path: Path, family: Family) -> None:
    """An agent may run the client in print mode."""
    for pid in (family.child, family.shell.pid):
        announce(tmp_path, pid)
    client = client_of(family.shell.pid, find_clients(tmp_path))
    assert client is not None
    assert client.pid == family.shell.pid


def test_of_two_clients_the_one_in_the_foreground_is_the_panes(tmp_path: Path) -> None:
    """A suspended one is still there. The name of a program may hold anything."""
    for pid, parent, group in ((10, 1, 10), (11, 10, 11), (12, 10, 12)):
        folder = tmp_path / "proc" / str(pid)
        folder.mkdir(parents=True)
        rest = " ".join(["0"] * 13)
        (folder / "stat").write_text(f"{pid} (a ) S 9 (b) S {parent} {group} 10 34816 12 {rest} 77{pid} 0 0\n")
    clients = {pid: AgentProcess(pid=pid, session_id=SESSION, cwd=CWD) for pid in (11, 12)}
    assert clients_of([10], clients, tmp_path / "proc") == {10: clients[12]}


def test_a_file_of_another_process_is_skipped(tmp_path: Path, family: Family) -> None:
    """The process id was given out again since; older clients do not say when they started."""
    announce(tmp_path, family.child, procStart="1")
    assert find_clients(tmp_path) == {}
    announce(tmp_path, family.child, procStart=None)
    assert len(find_clients(tmp_path)) == 1


def test_a_client_that_is_gone_is_skipped(tmp_path: Path) -> None:
    made = Family()
    announce(tmp_path, made.shell.pid)
    os.kill(made.child, 9)
    os.kill(made.shell.pid, 9)
    poll(lambda: " Z " in Path(f"/proc/{made.shell.pid}/stat").read_text())
    assert find_clients(tmp_path) == {}, "a zombie is no client"
    made.shell.wait()
    assert made.shell.stdout
    made.shell.stdout.close()
    assert find_clients(tmp_path) == {}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"{}",
        b'{"pid": "PID", "sessionId": "a", "cwd": "/"}',
        b'{"pid": PID, "sessionId": 7, "cwd": "/"}',
        b'{"pid": PID, "sessionId": "a", "cwd": null}',
        b'{"pid": PID, "sessionId": "../a", "cwd": "/"}',
        b'{"pid": PID, "sessionId": "", "cwd": "/"}',
        b'{"pid": 1, "sessionId": "a", "cwd": "/"}',
        b'{"pid": PID, "sessionId": "a", "cwd": "/", "procStart": {}, "status": ' + b"[" * 20_000,
        b"\n" * 70_000 + b'{"pid": PID, "sessionId": "a", "cwd": "/"}',
        b'{"pid": PID, "sessionId": "\xff", "cwd": "/"}',
    ],
    ids=lambda content: content[:50],
)
def test_odd_client_files_are_skipped(tmp_path: Path, family: Family, content: bytes) -> None:
    path = announce(tmp_path, family.child)
    path.write_bytes(content.replace(b"PID", str(family.child).encode()))
    assert find_clients(tmp_path) == {}


def test_what_is_no_client_file_is_skipped(tmp_path: Path, family: Family) -> None:
    assert find_clients(tmp_path) == {}, "no folder at all"
    path = announce(tmp_path, family.child)
    announce(tmp_path, os.getpid(), status=["odd"])
    real = path.rename(tmp_path / "real.json")
    path.symlink_to(real)
    (path.parent / f"{family.child}.abc.key").write_text("x")
    (path.parent / "٣.json").write_text("{}")
    (path.parent / "99999999999999999999.json").write_text("{}")
    os.mkfifo(path.parent / "1.json")
    (path.parent / f"{family.shell.pid}.json").mkdir()
    assert find_clients(tmp_path) == {os.getpid(): AgentProcess(pid=os.getpid(), session_id=SESSION, cwd=CWD)}


def test_panes_with_their_clients_and_records(tmp_path: Path, conversation: Path, family: Family) -> None:
    announce(tmp_path, family.child, status="busy")
    panes = {"%1": family.shell.pid, "%2": 1}
    client = AgentProcess(pid=family.child, session_id=SESSION, cwd=CWD, status="busy")
    assert read_panes(tmp_path, panes) == {"%1": (client, None)}
    write(conversation, prompt(1), hit(2))
    reading = read_panes(tmp_path, panes)["%1"][1]
    assert reading is not None
    assert (reading.kind, reading.busy) == (Kind.QUOTA, True)
    assert conversation.read_text().count("\n") == 2, "nothing is written there"
