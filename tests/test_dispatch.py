"""Tasks handed to free sessions, for real: stand-in agents on a private tmux server, the real program."""

from pathlib import Path

import pytest
from crew import Crew
from tmuxlab import Server


@pytest.fixture
def crew(server: Server, tmp_path: Path) -> Crew:
    return Crew(server, tmp_path)


def test_a_task_goes_to_a_free_session_and_is_done(crew: Crew) -> None:
    crew.up()
    crew.drop("fix", "please fix the parser")
    report = crew.check()
    assert [(a["action"], a["task"], a["session"], a["status"]) for a in report["actions"]] == [
        ("hand_out", "fix", "ccl-auto-11", "done")
    ]
    assert crew.where("fix") == ["running"]
    assert report["tasks"] == {"waiting": 0, "running": 1, "failed": 0}
    crew.until_done("fix")
    assert crew.prompts() == ["please fix the parser"]
    record = crew.record("done", "fix")
    assert (record["session"], record["attempts"]) == ("ccl-auto-11", 1)
    assert crew.where("fix") == ["done"]
