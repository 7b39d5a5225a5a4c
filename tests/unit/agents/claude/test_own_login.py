"""Sessions that have credentials in their environment."""

from pathlib import Path

import pytest

from failover_oneshot.agents.claude.own_login import own_login


@pytest.mark.parametrize(
    ("environ", "name"),
    [
        (b"HOME=/root\0ANTHROPIC_API_KEY=FAKE-key\0", "ANTHROPIC_API_KEY"),
        (b"CLAUDE_CODE_OAUTH_TOKEN=FAKE-token-of-base64==\0", "CLAUDE_CODE_OAUTH_TOKEN"),
        (b"ANTHROPIC_API_KEY=\0ANTHROPIC_AUTH_TOKEN=FAKE", "ANTHROPIC_AUTH_TOKEN"),
        (b"ANTHROPIC_API_KEY=\0MY_ANTHROPIC_API_KEY=FAKE\0ANTHROPIC_API_KEY\0", None),
        (b"", None),
    ],
)
def test_a_variable_with_a_value_counts_as_credentials(tmp_path: Path, environ: bytes, name: str | None) -> None:
    (tmp_path / "8").mkdir()
    (tmp_path / "8" / "environ").write_bytes(environ)
    assert own_login([7, 8], tmp_path) == name, "7 is gone"
