"""What the records say of a prompt when they are of no shape that is known."""

import json
from pathlib import Path
from typing import Any

import pytest

from failover_oneshot.agents.base import PromptState
from failover_oneshot.agents.claude import prompts
from tests.support.records import failure, prompt, write

ODD: tuple[Any, ...] = (None, True, 5, "", [], ["x"], {}, {"x": []})


@pytest.mark.parametrize("odd", ODD, ids=json.dumps)
def test_a_field_of_any_type_is_no_error(tmp_path: Path, odd: object) -> None:
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
        assert prompts.word(str(path), 0, "do it") in {PromptState.OPEN, PromptState.DOUBT, PromptState.ERROR}
