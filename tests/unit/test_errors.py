"""Every expected error: its exit code and its log line; and no other kind of error leaves a package."""

import logging
import os
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

import failover_oneshot
from failover_oneshot.accounts.method import MethodError
from failover_oneshot.cli import guarded
from failover_oneshot.config.loader import ConfigError
from failover_oneshot.ctl.demo.server import DemoError, UnavailableError
from failover_oneshot.ctl.lib.proposal import AmbiguousError
from failover_oneshot.decision.manual import NothingDoneError
from failover_oneshot.errors import EXIT_CODES, EXIT_SOFTWARE, FailoverError
from failover_oneshot.monitoring.apprise import NotifyError
from failover_oneshot.state.store import LockLostError, LockTimeoutError, StoreError
from failover_oneshot.tasks.spool import SpoolError
from failover_oneshot.tmux.client import TmuxError, TmuxMissingError, TmuxTimeoutError
from tests.support.paths import ROOT

WHY = "the sentence"
PACKAGE = Path(failover_oneshot.__file__).parent


def raising(error: BaseException) -> int:
    raise error


def logged(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    return [(record.levelname, record.getMessage()) for record in caplog.records]


@pytest.mark.parametrize(
    ("error", "code", "level", "line"),
    [
        (ConfigError((WHY,)), os.EX_CONFIG, "ERROR", WHY),
        (StoreError(WHY), os.EX_IOERR, "ERROR", WHY),
        (TmuxError(WHY), os.EX_UNAVAILABLE, "ERROR", WHY),
        (TmuxMissingError(WHY), os.EX_UNAVAILABLE, "ERROR", WHY),
        (TmuxTimeoutError(WHY), os.EX_TEMPFAIL, "WARNING", f"{WHY}; trying again at the next check"),
        (LockTimeoutError(WHY), os.EX_TEMPFAIL, "WARNING", f"{WHY}; trying again at the next check"),
        (LockLostError(WHY), os.EX_TEMPFAIL, "WARNING", f"{WHY}; trying again at the next check"),
        (NothingDoneError(WHY), 1, "ERROR", WHY),
        (NothingDoneError(WHY, 2), 2, "ERROR", WHY),
        (MethodError(WHY), 1, "ERROR", WHY),
        (NotifyError(WHY), 1, "ERROR", WHY),
        (SpoolError(WHY), 1, "ERROR", WHY),
        (AmbiguousError(WHY), 1, "ERROR", WHY),
        (DemoError(WHY), 1, "ERROR", WHY),
        (UnavailableError(WHY), os.EX_UNAVAILABLE, "ERROR", WHY),
    ],
)  # fmt: skip
def test_an_error_is_a_line_and_an_exit_code(
    caplog: pytest.LogCaptureFixture, error: FailoverError, code: int, level: str, line: str
) -> None:
    assert guarded(lambda: raising(error)) == code
    assert logged(caplog) == [(level, line)]


@pytest.mark.parametrize(
    ("error", "advice"),
    [(LockTimeoutError(WHY), "run this again when it has ended"), (LockLostError(WHY), "run this again")],
)
def test_a_person_gets_advice_where_no_next_run_follows(
    caplog: pytest.LogCaptureFixture, error: FailoverError, advice: str
) -> None:
    assert guarded(lambda: raising(error), by_hand=True) == os.EX_TEMPFAIL
    assert logged(caplog) == [("ERROR", f"{WHY}; {advice}")]


def test_each_problem_of_a_config_is_a_line(caplog: pytest.LogCaptureFixture) -> None:
    assert guarded(lambda: raising(ConfigError(("one", "two")))) == os.EX_CONFIG
    assert logged(caplog) == [("ERROR", "one"), ("ERROR", "two")]


@pytest.mark.parametrize("error", [ValueError("no sk-ant-FAKE0123456789abcdef"), FailoverError("?"), RecursionError()])
def test_an_unexpected_error_is_one_line_without_secrets(caplog: pytest.LogCaptureFixture, error: Exception) -> None:
    caplog.set_level(logging.INFO, "failover")
    assert guarded(lambda: raising(error)) == os.EX_SOFTWARE
    [(level, line)] = logged(caplog)
    assert (level, line.count("\n"), "FAKE" in line) == ("ERROR", 0, False)
    assert line.startswith(f"unexpected error, please report it: {type(error).__name__}: ")


def test_verbose_shows_the_traceback_of_an_unexpected_error(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "failover")
    guarded(lambda: raising(ValueError("?")))
    assert caplog.records[-1].exc_info is not None


def exceptions() -> Iterator[type[Exception]]:
    """Every exception class that a module of the package defines."""
    for module in pkgutil.walk_packages(failover_oneshot.__path__, f"{failover_oneshot.__name__}."):
        if not module.name.endswith("__main__"):
            for value in vars(import_module(module.name)).values():
                if isinstance(value, type) and issubclass(value, Exception) and value.__module__ == module.name:
                    yield value


def test_only_expected_errors_leave_a_package() -> None:
    """Any other exception class is named only in its own package: the code that raises it also catches it."""
    found = {*exceptions()}
    assert found >= {FailoverError, ConfigError, UnavailableError}
    for error in found:
        if not issubclass(error, FailoverError):
            home = PACKAGE.joinpath(*error.__module__.split(".")[1:-1])
            for path in PACKAGE.rglob("*.py"):
                if path.parent != home and (home == PACKAGE or home not in path.parents):
                    assert not re.search(rf"\b{error.__name__}\b", path.read_text()), f"{error} in {path}"


def test_the_table_of_the_readme_has_the_same_codes() -> None:
    table = re.findall(r"^\| (\d+) \|", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert {int(code) for code in table} == {*EXIT_CODES, EXIT_SOFTWARE}


LOST = {
    "stdout is closed": "exec >&-",
    "the reader of stdout went away": ":",
    "stdout is full": "exec >/dev/full",
    "stdout is full and unbuffered": "exec >/dev/full; export PYTHONUNBUFFERED=1",
    "stderr is closed": "exec 2>&-",
    "stderr is full": "exec 2>/dev/full",
}


@pytest.mark.parametrize("close", LOST.values(), ids=LOST)
@pytest.mark.parametrize("code", [0, 1])
def test_output_that_cannot_be_written_keeps_the_exit_code(close: str, code: int) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    work = (
        "import sys, logging; from failover_oneshot import cli; cli.setup_logging(False, False);"
        "work = lambda: logging.getLogger('failover').info('logged') or cli.say('said') or "
        f"{code}; sys.exit(cli.guarded(work))"
    )
    argv = ["sh", "-c", f'{close}; exec "$0" -c "$1"', sys.executable, work]
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    done = subprocess.run(argv, stdout=writer, stderr=subprocess.PIPE, env=environ, text=True, check=False, timeout=60)
    os.close(writer)
    assert done.returncode == code
    assert done.stderr in {"", "INFO: logged\n"}
