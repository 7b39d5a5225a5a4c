"""The command line of `failover-check`."""

import pytest

from failover_oneshot import cli


def test_without_flags_the_check_is_a_real_run() -> None:
    options = cli.parser().parse_args([])
    assert (options.config, options.state, options.record) == (None, None, None)
    assert (options.dry_run, options.json, options.verbose, options.quiet) == (False,) * 4


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--quiet", "--verbose"], "-v/--verbose: not allowed with argument -q/--quiet; run `failover-check --help`"),
        (["--config"], "--config: expected one argument; run `failover-check --help`"),
        (["now"], "unexpected argument: 'now'; run `failover-check --help`"),
        (["--record", ""], "--record: must name a folder; run `failover-check --help`"),
        (["--record", "/nowhere", "--dry-run"],
         "--record: not allowed with --dry-run, which writes no files; run `failover-check --help`"),
    ],
)  # fmt: skip
def test_a_wrong_command_line_is_refused_before_anything_is_read(
    words: list[str], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        cli.main(words)
    assert left.value.code == 2
    assert capsys.readouterr().err == f"failover-check: {problem}\n"


def test_the_help_names_every_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    codes = capsys.readouterr().out.partition("Exit codes: ")[2].replace("\n", " ")
    for code in ("0 done", "1 a swap failed", "2 wrong usage", "65", "69", "74", "75 try again", "78 configuration"):
        assert code in codes
