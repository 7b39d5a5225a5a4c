"""The reading of the newest record of a conversation, with real files."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failover_oneshot.agents.claude.transcript import read_tail
from failover_oneshot.model import AgentProcess, Evidence, Kind, Limit
from tests.support.records import CWD, SESSION, answer, failure, hit, prompt, stamp, write

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
        # words of the assistant are no evidence
        ([answer(1, "You've hit your 5-hour limit · resets 6:30am (UTC)")], MOVED_ON),
        ([answer(1, apiError="usage_limit_reached", isApiErrorMessage="true")], MOVED_ON),
        # older versions, and missing fields
        ([old_hit(1)], (Kind.QUOTA, False)),
        ([old_hit(1, "Claude AI usage limit reached|1760000400")], (Kind.QUOTA, False)),
        ([{**hit(1), "apiError": None}], (Kind.QUOTA, False)),
        ([{**hit(1), "quotaLimits": None}], (Kind.QUOTA, False)),
        ([old_hit(1, "You've hit your fast limit · resets 3pm")], None),
        ([old_hit(1, "Something new")], None),
        # the newest is not conclusive, so older ones do not count: the screen decides
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
def test_the_limit_of_a_hit(tmp_path: Path, conversation: Path, name: str, words: str, limit: Limit) -> None:
    write(conversation, hit(1, name, words))
    reading = read_tail(tmp_path, CLIENT)
    assert reading is not None
    assert reading.limit is limit


@pytest.mark.parametrize("value", [None, "soon", True, -1, 0, 10**30, 1e300, [], {"a": 1}])
def test_a_malformed_reset_leaves_the_words_of_the_message(tmp_path: Path, conversation: Path, value: object) -> None:
    write(conversation, {**hit(1), "quotaLimits": {"status": "rejected", "resetsAt": value, "rateLimitType": value}})
    reading = read_tail(tmp_path, CLIENT)
    assert reading is not None
    assert (reading.resets_at, reading.reset_text, reading.limit) == (None, "6:30am (UTC)", Limit.FIVE_HOUR)


def test_each_hit_has_its_own_identity(tmp_path: Path, conversation: Path) -> None:
    """The same words twice are two hits. A malformed uuid is not used."""
    found = set()
    for record in (hit(1), hit(2), hit(2), {**hit(3), "uuid": "../../x\n"}, {**hit(4), "uuid": None}):
        write(conversation, record)
        reading = read_tail(tmp_path, CLIENT)
        assert reading is not None
        found.add(reading.identity)
    assert len(found) == 4
    assert all("\n" not in identity for identity in found)


def test_the_owner_is_the_last_one_before_the_hit(tmp_path: Path, conversation: Path) -> None:
    other = {"type": "session-owner", "accountUuid": "other"}
    write(conversation, other, answer(1), OWNER, hit(2), other)
    reading = read_tail(tmp_path, CLIENT)
    assert reading is not None
    assert reading.account_uuid == OWNER["accountUuid"]


def test_a_secret_never_reaches_the_snippet(tmp_path: Path, conversation: Path) -> None:
    secret = "sk-ant-oat01-FAKEFAKEFAKEFAKEFAKE"
    write(conversation, failure(1, f"API Error: 529 Overloaded\nfor {secret}", "server_error", 529))
    reading = read_tail(tmp_path, CLIENT)
    assert reading is not None
    assert "FAKE" not in str(reading)
    assert (reading.snippet or "").startswith("API Error: 529 Overloaded for ")


def test_a_busy_agent_is_reported_as_busy(tmp_path: Path, conversation: Path) -> None:
    write(conversation, hit(1))
    reading = read_tail(tmp_path, AgentProcess(pid=1, session_id=SESSION, cwd=CWD, status="busy"))
    assert reading is not None
    assert reading.busy


# Files of any kind.


def test_only_the_end_of_a_huge_file_is_read(tmp_path: Path, conversation: Path) -> None:
    write(conversation, hit(1))
    with conversation.open("r+b") as file:
        file.seek(1 << 30)  # a hole, which uses no disk space
        file.write(b'"}\n' + json.dumps(answer(2)).encode() + b"\n")
    reading = read_tail(tmp_path, CLIENT)
    assert reading is not None
    assert reading.moved_on


def test_one_endless_line_has_no_reading(tmp_path: Path, conversation: Path) -> None:
    write(conversation, hit(1))
    with conversation.open("ab") as file:
        file.truncate(100 << 20)
    assert read_tail(tmp_path, CLIENT) is None


def test_a_record_that_the_tail_cuts_off_is_dropped(tmp_path: Path, conversation: Path) -> None:
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
def test_malformed_lines_are_skipped(tmp_path: Path, conversation: Path, line: bytes) -> None:
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
def test_a_session_id_cannot_be_a_path(tmp_path: Path, session: str) -> None:
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
