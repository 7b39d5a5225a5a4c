"""The base class of all errors that the program reports, and the exit codes. `cli.py` turns one into the other."""

from os import EX_CONFIG, EX_DATAERR, EX_IOERR, EX_OK, EX_SOFTWARE, EX_TEMPFAIL, EX_UNAVAILABLE
from typing import ClassVar, Final

EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2  # argparse's own, not EX_USAGE
EXIT_DATA: Final = EX_DATAERR
EXIT_UNAVAILABLE: Final = EX_UNAVAILABLE
EXIT_SOFTWARE: Final = EX_SOFTWARE  # an unexpected error, which is a bug: no --help lists it
EXIT_IO: Final = EX_IOERR
EXIT_TEMPFAIL: Final = EX_TEMPFAIL
EXIT_CONFIG: Final = EX_CONFIG

EXIT_CODES: Final = {
    EX_OK: "done",
    EXIT_FAILED: "a swap failed",
    EXIT_USAGE: "wrong usage",
    EXIT_DATA: "state reset",
    EXIT_UNAVAILABLE: "tmux unavailable",
    EXIT_IO: "state unreadable or unwritable",
    EXIT_TEMPFAIL: "try again",
    EXIT_CONFIG: "configuration missing or wrong",
}
"""The exit codes of `failover-check`. A command of `failoverctl` lists its own in its --help where they differ."""


class FailoverError(Exception):
    """An expected error. Its sentence is logged without a traceback, so it must hold no secret."""

    exit_code: int = EXIT_SOFTWARE
    next_run: ClassVar[str] = ""  # appended where the next run tries again; the line is then only a warning
    by_hand: ClassVar[str] = ""  # appended instead where a person ran the command and no next run follows

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.problems: tuple[str, ...] = (sentence,)  # one log line each
