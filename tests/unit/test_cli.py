"""The command line of `failover-check`."""

import pytest

from failover_oneshot import cli


def test_without_flags_it_is_a_real_run() -> None:
    options = cli.parser().parse_args([])
    assert (options.config, options.state, options.record) == (None, None, None)
    assert (options.dry_run, options.json, options.verbose, options.quiet) == (False,) * 4


@pytest.mark.parametrize(
    "words",
    [
        ["--quiet", "--verbose"],
        ["--config"],
        ["now"],
        ["--record", ""],
        ["--record", "/nowhere", "--dry-run"],
    ],
    ids=" ".join,
)
def test_a_wrong_command_line_is_refused_before_anything_is_read(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        cli.main(words)
    assert left.value.code == 2
    assert capsys.readouterr().err.startswith("usage: failover-check ")


def test_the_help_names_every_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    codes = capsys.readouterr().out.partition("Exit codes: ")[2].replace("\n", " ")
    for code in ("0 done", "1 a swap failed", "2 usage", "65", "69", "74", "75 try again", "78 config wrong"):
        assert code in codes
