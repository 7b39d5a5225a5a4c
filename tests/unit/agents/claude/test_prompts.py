"""The state of a prompt in Claude Code's records, also in malformed ones."""

import json
from pathlib import Path
from typing import Any

import pytest

from failover_oneshot.agents.base import PromptState
from failover_oneshot.agents.claude import prompts
from tests.support.records import failure, prompt, write

ODD: tuple[Any, ...] = (None, True, 5, "", [], ["x"], {}, {"x": []})


@pytest.mark.parametrize("odd", ODD, ids=json.dumps)
def test_a_field_may_have_any_type(tmp_path: Path, odd: object) -> None:
    path = tmp_path / "c.jsonl"
    part = {"type": odd, "text": odd}
    error = failure(3, "529", "server_error", 529, uuid="x")
    for record in (
        {"type": odd, "message": {}},
        {"type": "assistant", "message": odd},
        {"type": "assistant", "message": {"content": odd, "stop_reason": odd}},
        {"type": "assistant", "message": {"content": [part, odd]}},
        {"type": "user", "message": {"content": [part, odd]}},
        {**error, "apiError": odd, "error": odd},
    ):
        write(path, prompt(1, "do it"), record)
        assert prompts.prompt_state(str(path), 0, "do it") in {PromptState.OPEN, PromptState.DOUBT, PromptState.ERROR}


def line(kind: str, text: str | list[Any], **fields: Any) -> str:
    stop = fields.pop("stop", None)
    message = {"role": kind, "content": text, **({"stop_reason": stop} if stop else {})}
    return json.dumps({"type": kind, "message": message, **fields}) + "\n"


TASK = line("user", "do\n it")
TOOL = line("assistant", [{"type": "tool_use", "name": "Bash"}], stop="tool_use")
RESULT = line("user", [{"type": "tool_result", "content": "x"}], toolUseResult={})
SAID = line("assistant", [{"type": "text", "text": "I look"}])
END = line("assistant", [{"type": "text", "text": "done"}], stop="end_turn")
HIT = line("assistant", [{"type": "text", "text": "limit"}], isApiErrorMessage=True, error="rate_limit")
BROKE = line("assistant", [{"type": "text", "text": "529"}], isApiErrorMessage=True, error="server_error")
GO_ON = line("user", "continue")
OTHER = line("user", "something else")


@pytest.mark.parametrize(
    ("records", "word"),
    [
        ("", PromptState.ABSENT),
        (OTHER + END, PromptState.ABSENT),
        (TASK, PromptState.OPEN),
        (TASK + TOOL, PromptState.OPEN),
        (TASK + TOOL + RESULT, PromptState.OPEN),
        (TASK + SAID, PromptState.DOUBT),
        (TASK + SAID + TOOL, PromptState.OPEN),
        (TASK + TOOL + RESULT + END, PromptState.ENDED),
        (TASK + END + OTHER + BROKE, PromptState.ENDED),
        (TASK + HIT, PromptState.LIMIT),
        (TASK + HIT + GO_ON, PromptState.OPEN),
        (TASK + HIT + GO_ON + END, PromptState.ENDED),
        (TASK + BROKE, PromptState.ERROR),
        (OTHER + END + TASK, PromptState.OPEN),
        ("{half" + "\n" + '{"type": 1}\n[]\n' + TASK + '{"type": "assistant", "message": 5}\n' + "{", PromptState.OPEN),
        (line("user", "do it", isSidechain=True), PromptState.ABSENT),
        (line("user", [{"type": "text", "text": "do it"}]) + END, PromptState.ENDED),
    ],
)
def test_the_state_of_a_prompt_in_the_records(tmp_path: Path, records: str, word: PromptState) -> None:
    path = tmp_path / "c.jsonl"
    earlier = TASK + END  # the same words before: another task
    path.write_text(earlier + records)
    assert prompts.prompt_state(str(path), len(earlier), "do it") is word


def test_records_that_are_gone_give_no_state(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    assert prompts.prompt_state(str(path), 0, "do it") is PromptState.ABSENT, "the conversation has not begun"
    assert prompts.prompt_state(str(path), 5, "do it") is PromptState.NONE
    path.write_text("x")
    assert prompts.prompt_state(str(path), 5, "do it") is PromptState.NONE
    path.unlink()
    path.mkdir()
    assert prompts.prompt_state(str(path), 0, "do it") is PromptState.NONE


def test_a_long_conversation_is_read_at_both_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompts, "_PART", 4096)
    path = tmp_path / "c.jsonl"
    path.write_text(TASK + (TOOL + RESULT) * 200 + END)
    assert prompts.prompt_state(str(path), 0, "do it") is PromptState.ENDED
    path.write_text(TASK + (TOOL + RESULT) * 200)
    assert prompts.prompt_state(str(path), 0, "do it") is PromptState.OPEN
