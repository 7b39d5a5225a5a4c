"""The errors that the program knows, each with its exit code, and what the exit codes mean. Values: `cli.py` exits."""

from os import EX_CONFIG, EX_DATAERR, EX_IOERR, EX_OK, EX_SOFTWARE, EX_TEMPFAIL, EX_UNAVAILABLE
from typing import ClassVar, Final

EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2  # argparse's own, not EX_USAGE
EXIT_DATA: Final = EX_DATAERR
EXIT_UNAVAILABLE: Final = EX_UNAVAILABLE
EXIT_SOFTWARE: Final = EX_SOFTWARE  # an error that nobody foresaw, to be reported: no --help promises it
EXIT_IO: Final = EX_IOERR
EXIT_TEMPFAIL: Final = EX_TEMPFAIL
EXIT_CONFIG: Final = EX_CONFIG

EXIT_CODES: Final = {
    EX_OK: "done",
    EXIT_FAILED: "a swap failed",
    EXIT_USAGE: "usage",
    EXIT_DATA: "state reset",
    EXIT_UNAVAILABLE: "tmux unavailable",
    EXIT_IO: "state unreadable or unwritable",
    EXIT_TEMPFAIL: "try again",
    EXIT_CONFIG: "config wrong",
}
"""What `failover-check` exits with; a command of `failoverctl` says in its --help where it means something else."""


class FailoverError(Exception):
    """An error that the program knows: one sentence for the log, free of secrets, and never a traceback."""

    exit_code: int = EXIT_SOFTWARE
    next_run: ClassVar[str] = ""  # ends the log line where the next run tries again: only a warning then
    by_hand: ClassVar[str] = ""  # ends it instead where a person ran the command, and no next run follows

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.problems: tuple[str, ...] = (sentence,)  # a log line each
