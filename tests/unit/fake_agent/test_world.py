"""The files that the fake agent reads and writes."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from failover_oneshot.ctl.demo import sandbox
from failover_oneshot.fake_agent.world import Records, account_of, exhausted, rotate


def credentials(folder: Path, account: str = "main", generation: int = 1) -> Path:
    path = folder / ".credentials.json"
    path.write_text(json.dumps(sandbox.credentials(account, generation)))
    return path


def test_the_account_is_the_one_in_the_token(tmp_path: Path) -> None:
    assert account_of(credentials(tmp_path), refresh=False) == "main"
    assert account_of(credentials(tmp_path, "my-backup", 12), refresh=False) == "my-backup"


@pytest.mark.parametrize("content", ["", "{", "[]", '{"claudeAiOauth": {}}', '{"claudeAiOauth": {"accessToken": ""}}'])
def test_invalid_credentials_give_no_account(tmp_path: Path, content: str) -> None:
    path = tmp_path / ".credentials.json"
    path.write_text(content)
    assert account_of(path, refresh=False) is None
    assert account_of(tmp_path / "none", refresh=False) is None


def test_the_environment_overrides_the_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_ACCOUNT", "backup")
    assert account_of(credentials(tmp_path), refresh=False) == "backup"


def test_a_refresh_increments_both_tokens_and_leaves_no_lock(tmp_path: Path) -> None:
    folder = tmp_path / "claude"
    folder.mkdir()
    path = credentials(folder)
    assert account_of(path, refresh=True) == "main"
    live = json.loads(path.read_text())["claudeAiOauth"]
    assert (live["accessToken"], live["refreshToken"]) == ("fake-main-2", "fake-main-refresh-2")
    assert live["expiresAt"] / 1000 > datetime.now(UTC).timestamp()
    assert [entry.name for entry in tmp_path.rglob("*")] == ["claude", ".credentials.json"]
    rotate(path)
    assert json.loads(path.read_text())["claudeAiOauth"]["accessToken"] == "fake-main-3"


def test_until_when_an_account_is_exhausted(tmp_path: Path) -> None:
    quota = tmp_path / "quota.json"
    assert exhausted(None, "main") is None
    assert exhausted(quota, "main") is None
    later = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=2)
    quota.write_text(json.dumps({"main": later.isoformat(), "backup": "unknown", "third": "2020-01-01T00:00:00+00:00"}))
    assert [exhausted(quota, name) for name in ("main", "backup", "third", "none")] == [later, "unknown", None, None]


def test_a_conversation_is_continued_by_its_id_or_as_the_newest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder, identity = tmp_path / ".claude", tmp_path / ".claude.json"
    identity.write_text(json.dumps({"oauthAccount": {"accountUuid": "uuid-main"}}))
    first = Records(folder, identity, None, newest=False)
    first.add("user", [("❯ ", "one")])
    first.add("assistant", [("● ", "done")], stop="end_turn")
    drawn = [("❯ ", "one"), ("● ", "done")]
    assert Records(folder, identity, first.session, newest=False).blocks == drawn
    newest = Records(folder, identity, None, newest=True)
    assert (newest.session, newest.blocks) == (first.session, drawn)
    [path] = folder.glob("projects/*/*.jsonl")
    records = [json.loads(line) for line in path.read_text().splitlines()]
    assert [record["type"] for record in records] == ["session-owner", "user", "assistant"]
    assert {record["sessionId"] for record in records} == {first.session}


def test_a_missing_conversation_is_refused_in_claude_codes_words(tmp_path: Path) -> None:
    with pytest.raises(LookupError, match=r"^No conversation found to continue$"):
        Records(tmp_path, tmp_path / "none", None, newest=True)
    with pytest.raises(LookupError, match=r"^No conversation found with session ID: abc$"):
        Records(tmp_path, tmp_path / "none", "abc", newest=False)
