"""Method command: argv without a shell, exit codes, timeout, output. Real programs."""

import os
import signal
import sys
from functools import partial
from pathlib import Path

import pytest

from failover_oneshot.accounts import registry
from failover_oneshot.accounts.registry import MethodError
from failover_oneshot.config.model import Account, Config, Method, Swap
from failover_oneshot.config.values import Duration
from failover_oneshot.state.model import State
from tests.support.polling import poll

MAIN, BACKUP = Account(name="main"), Account(name="b '$(id)'")


def swap(tmp_path: Path, *argv: str, timeout: float = 10) -> None:
    config = Config(swap=Swap(method=Method.COMMAND, command=argv, timeout=Duration(timeout)))
    method = registry.method(config, tmp_path / "state", State())
    with method.exclusive(timeout):
        method.save_back(MAIN, {})
        method.install(BACKUP, method.prepare(BACKUP))


def python(code: str, *words: str) -> tuple[str, ...]:
    return (sys.executable, "-S", "-c", f"import os, sys, time\n{code}", *words)


def test_placeholders_are_filled_in_without_a_shell(tmp_path: Path) -> None:
    out = tmp_path / "out"
    code = f"open({str(out)!r}, 'w').write(repr(sys.argv[1:]) + sys.stdin.read())"
    swap(tmp_path, *python(code, "{from}", "--to={to}", "{other}", "$HOME"))
    assert out.read_text() == repr(["main", "--to=b '$(id)'", "{other}", "$HOME"])


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (
            "print('out'); print('first\\nlast fake sk-ant-oat01-abcdefghijklmnop', file=sys.stderr); sys.exit(3)",
            "exit status 3",
        ),
        ("print('only on stdout'); sys.exit(1)", "only on stdout"),
        ("sys.exit(1)", r"\(exit status 1\)$"),
        ("""print('{\\n"error": "no such account"\\n}'); sys.exit(1)""", "no such account"),
        ("os.kill(os.getpid(), 15)", "signal 15"),
        ("sys.stderr.write('x' * 1000000 + '\\nend\\x1b[1m\\n'); sys.exit(1)", r"end \[1m$"),
        ("sys.stderr.buffer.write(b'\\xff\\n'); sys.exit(1)", "exit status 1"),
    ],
)
def test_a_failure_ends_with_the_last_line_and_no_secrets(code: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(MethodError, match=said) as caught:
        swap(tmp_path, *python(code))
    assert "sk-ant" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_the_timeout_kills_the_whole_process_group(tmp_path: Path) -> None:
    out = tmp_path / "pids"
    code = f"c = os.fork()\nif c: open({str(out)!r}, 'w').write(f'{{os.getpid()}} {{c}}')\ntime.sleep(600)"

    def started() -> list[str]:  # on a busy machine the first try may be too slow
        with pytest.raises(MethodError, match="did not finish"):
            swap(tmp_path, *python(code), timeout=1)
        return out.read_text().split() if out.exists() else []

    for pid in map(int, poll(started)):
        poll(partial(gone, pid))


def test_a_program_that_closes_its_output_is_still_waited_for(tmp_path: Path) -> None:
    with pytest.raises(MethodError, match="exit status 5"):
        swap(tmp_path, *python("os.close(1); os.close(2); time.sleep(0.1); os._exit(5)"))


def test_a_child_that_keeps_the_output_open_is_not_waited_for(tmp_path: Path) -> None:
    out = tmp_path / "pid"
    code = f"c = os.fork()\nif c: open({str(out)!r}, 'w').write(str(c)); os._exit(0)\ntime.sleep(600)"
    swap(tmp_path, *python(code))
    os.kill(int(out.read_text()), signal.SIGKILL)


def test_the_program_of_a_killed_run_is_waited_for(tmp_path: Path) -> None:
    out = tmp_path / "pid"
    code = f"open({str(out)!r}, 'w').write(str(os.getpid()) + '.')\ntime.sleep(600)"
    pid = os.fork()
    if pid == 0:
        swap(tmp_path, *python(code), timeout=600)
    poll(lambda: out.exists() and out.read_text().endswith("."))
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    with pytest.raises(MethodError, match="still running"):
        swap(tmp_path, *python(""), timeout=0.1)
    os.kill(int(out.read_text().rstrip(".")), signal.SIGKILL)
    swap(tmp_path, *python(""))


@pytest.mark.parametrize("argv", [(), ("/nowhere/program",), ("/dev/null",)])
def test_a_program_that_cannot_be_run_is_a_problem(argv: tuple[str, ...], tmp_path: Path) -> None:
    method = registry.method(Config(swap=Swap(method=Method.COMMAND, command=argv)), tmp_path / "state", State())
    assert method.check(BACKUP)
    with pytest.raises(MethodError):
        swap(tmp_path, *argv)


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True
