"""The paths of Claude Code's records, and bounded reads of any content."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from failover_oneshot.agents.claude import records
from failover_oneshot.agents.claude.records import ConversationRecord, project_folder
from failover_oneshot.model import AgentProcess
from tests.support.records import CWD, SESSION

# The hashes that Claude Code's own function gives for long paths, by the start of the path.
HASHES = {"/xxx": "d0i18x", "/a/l": "n1ypua", "/b/g": "hailln"}


@pytest.mark.parametrize(
    ("cwd", "end"),
    [
        ("/home/op/w.x_y", "-home-op-w-x-y"),
        ("/srv/größe/🚀 x", "-srv-gr--e----x"),
        ("/" + "x" * 199, "-" + "x" * 199),
        ("/" + "x" * 200, None),
        ("/a" + "/long-folder" * 20, None),
        ("/b" + "/größe🚀" * 40, None),
    ],
)
def test_project_folders_are_named_as_claude_code_names_them(cwd: str, end: str | None) -> None:
    name = project_folder(cwd)
    if end is not None:
        assert name == end
    else:
        head, _, code = name[:200], name[200], name[201:]
        assert len(head) == 200
        assert code == HASHES[cwd[:4]]


def test_the_path_and_size_of_a_conversation(tmp_path: Path) -> None:
    path = Path(records.conversation(tmp_path, AgentProcess(pid=1, session_id=SESSION, cwd=CWD)))
    assert path == tmp_path / "projects" / "-srv-work-one" / f"{SESSION}.jsonl"
    assert records.size(str(path)) == 0
    path.parent.mkdir(parents=True)
    path.write_bytes(b"12345")
    assert records.size(str(path)) == 5


@pytest.mark.parametrize(
    ("limit", "end", "whole"),
    [
        (100, b"one\ntwo\nthree\n", b"one\ntwo\nthree\n"),
        (14, b"one\ntwo\nthree\n", b"one\ntwo\nthree\n"),
        (13, b"two\nthree\n", None),
        (9, b"three\n", None),
        (3, b"", None),
    ],
)
def test_the_end_of_a_file_is_read_in_whole_lines(tmp_path: Path, limit: int, end: bytes, whole: bytes | None) -> None:
    path = tmp_path / "c.jsonl"
    path.write_bytes(b"one\ntwo\nthree\n")
    assert records.read_end(str(path), limit) == end
    assert records.read_whole(str(path), limit) == whole


@pytest.mark.parametrize(
    ("offset", "limit", "part"), [(0, 3, b"one"), (4, 100, b"two\n"), (8, 5, b""), (9, 5, b""), (-1, 5, None)]
)
def test_a_range_of_a_file(tmp_path: Path, offset: int, limit: int, part: bytes | None) -> None:
    path = tmp_path / "c.jsonl"
    path.write_bytes(b"one\ntwo\n")
    assert records.read_range(str(path), offset, limit) == part


def test_an_empty_file_has_no_bytes(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    path.touch()
    assert (records.read_end(str(path), 5), records.read_whole(str(path), 5)) == (b"", b"")


@pytest.mark.parametrize("kind", ["nothing", "folder", "pipe", "link", "zero"])
def test_only_a_regular_file_is_read(tmp_path: Path, kind: str) -> None:
    path = tmp_path / ("a\0b" if kind == "zero" else "c.jsonl")
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "link":
        (tmp_path / "real").write_bytes(b"one")
        path.symlink_to("real")
    assert records.read_end(str(path), 5) is None
    assert records.read_whole(str(path), 5) is None
    assert records.read_range(str(path), 0, 5) is None


def test_lines_that_are_not_records_are_skipped() -> None:
    deep = b'{"message": ' + b"[" * 20_000
    lines = [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"x"',
        deep,
        b'{"type": "\xff"}',
        b'{"type": 5, "isMeta": true}',
        b"{}",
        b"\xff",
    ]
    assert [*records.decode(b"\n".join(lines))] == [ConversationRecord(type=5, is_meta=True), ConversationRecord()]
    assert [*records.decode(b"")] == []


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ({"content": " do\n it "}, " do\n it "),
        ({"content": [{"type": "text", "text": "do"}, {"type": "text", "text": "it"}]}, "do\nit"),
        ({"content": [{"type": "tool_use", "name": "x"}, 5, None, {"text": 5}, {"text": "it"}]}, "it"),
        ({"content": 5}, ""),
        ({}, ""),
        (None, ""),
        ("do", ""),
    ],
    ids=json.dumps,
)
def test_the_text_of_a_message(message: object, text: str) -> None:
    assert ConversationRecord(message=message).text == text


def test_the_types_of_parts_in_a_message() -> None:
    record = ConversationRecord(message={"content": [5, {"type": ["tool_use"]}, {"type": "tool_result"}]})
    assert record.holds("tool_use", "tool_result")
    assert not record.holds("tool_use")
    assert not ConversationRecord(message={"content": "tool_use"}).holds("tool_use")


@pytest.mark.parametrize(
    ("timestamp", "at"),
    [
        ("2026-11-24T04:30:02.032Z", datetime(2026, 11, 24, 4, 30, 2, 32000, tzinfo=UTC)),
        ("2026-11-24T04:30:02+02:00", datetime(2026, 11, 24, 2, 30, 2, tzinfo=UTC)),
        ("2026-11-24T04:30:02", None),
        ("0001-01-01T00:00:00+05:00", None),
        ("yesterday", None),
        (1795501809, None),
        (None, None),
    ],
)
def test_the_time_of_a_record(timestamp: object, at: datetime | None) -> None:
    assert ConversationRecord(timestamp=timestamp).at == at
