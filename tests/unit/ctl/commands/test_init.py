"""The one file that `failoverctl init` writes."""

from pathlib import Path

from failover_oneshot.ctl.commands.init import publish


def test_a_name_that_is_taken_meanwhile_is_refused(tmp_path: Path) -> None:
    """Between the look and the writing somebody else may have written."""
    target = tmp_path / "failover.yaml"
    target.write_text("mine: true\n")
    assert "exists" in str(publish(target, "accounts: []\n"))
    assert target.read_text() == "mine: true\n"
    assert list(tmp_path.iterdir()) == [target]
