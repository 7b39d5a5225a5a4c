"""The command line of `failoverctl`."""

import pytest

from failover_oneshot.ctl.main import COMMANDS, main


@pytest.mark.parametrize("columns", [None, "80"])
@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_is_80_columns_wide(
    command: str, columns: str | None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a terminal of any width."""
    monkeypatch.setenv("COLUMNS", columns or "")
    if columns is None:
        monkeypatch.delenv("COLUMNS")
    with pytest.raises(SystemExit) as left:
        main([*([command] if command else []), "--help"])
    text = capsys.readouterr().out
    assert left.value.code == 0
    assert text.startswith("usage: failoverctl")
    assert max(map(len, text.splitlines())) <= 80, text
