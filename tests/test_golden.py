"""The output of both programs, compared byte for byte with the files of tests/golden/.

A case is a function that runs commands in a sandbox; its record is compared with the file of its name. After an
intended change run GOLDEN=write python -m pytest tests/test_golden.py, and read the diff before you commit it.
"""

import difflib
import os
import re
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.support.golden import HIT, OK, POOL, VAGUE, RecordedSandbox, hit, plain, stamp, throwaway_sandbox
from tests.support.paths import ROOT

FOLDER = Path(__file__).parent / "golden"
RECORDED_ON = (3, 11)  # argparse of later versions has another layout
COMMANDS = (
    "status", "history", "swap", "pause", "resume", "reset", "explain", "replay", "simulate", "accounts", "completion",
    "demo", "doctor", "init", "install", "notify", "report", "task", "uninstall",
)  # fmt: skip
TASK_COMMANDS = ("add", "list", "show", "cancel", "retry")

# A hit, a wait and a swap at fixed times in the past, so that their distances do not depend on when the case runs.
DAY = "2025-01-05T"
HITS = dict.fromkeys(POOL, f"{DAY}09:59:00Z")
PAST = [
    {"at": f"{DAY}08:00:00Z", "outcome": "waiting", "from": "main", "to": None, "since": f"{DAY}07:00:00Z",
     "account": "main", "until": f"{DAY}08:00:00Z", "reason": "no account was free for 1h"},
    {"at": f"{DAY}10:00:00Z", "outcome": "swapped", "from": "main", "to": "backup", "reason": "3 of 10", "rejected": {},
     "sessions": dict.fromkeys(POOL, "recreate done"), "exhausted_until": f"{DAY}12:00:00Z", "hits": HITS},
]  # fmt: skip

Story = Callable[[RecordedSandbox], None]
CASES: dict[str, Story] = {}


def case(story: Story) -> Story:
    CASES[story.__name__.replace("_", "-")] = story
    return story


# --- help ------------------------------------------------------------------------------------------------------------


def helps() -> Iterator[tuple[str, ...]]:
    yield ("failover-check",)
    yield ("failoverctl",)
    yield from (("failoverctl", command) for command in COMMANDS)
    yield from (("failoverctl", "task", command) for command in TASK_COMMANDS)


def show_help(words: tuple[str, ...], sandbox: RecordedSandbox) -> None:
    sandbox.run(*words, "--help")


CASES.update({"-".join(("help", *words)): partial(show_help, words) for words in helps()})


# --- failover-check: each outcome, as text and as JSON, with the state that it leaves --------------------------------


def no_sessions(sandbox: RecordedSandbox) -> None:
    """No tmux server runs."""


def ok(sandbox: RecordedSandbox) -> None:
    sandbox.show(OK, *POOL, "ops")


def one_blocked(sandbox: RecordedSandbox) -> None:
    """One session is below the threshold; the neighbors do not count."""
    sandbox.show(hit(), POOL[0], "ccl-0", "ccl-auto-1")
    sandbox.show(OK, *POOL[1:])


def suspected(sandbox: RecordedSandbox) -> None:
    sandbox.show(VAGUE, *POOL[:2])


def swapped(sandbox: RecordedSandbox) -> None:
    sandbox.show(hit(), *POOL, "ops")


def cooldown(sandbox: RecordedSandbox) -> None:
    swapped(sandbox)
    sandbox.quietly("failover-check")
    sandbox.settled()


def paused(sandbox: RecordedSandbox) -> None:
    swapped(sandbox)
    sandbox.quietly("failoverctl", "pause", "--for", "2h", "--reason", "moving the accounts")


def waiting(sandbox: RecordedSandbox) -> None:
    swapped(sandbox)
    sandbox.set_state(active_account="main", accounts={"backup": {"exhausted_until": stamp(hours=1)}})


def resumed(sandbox: RecordedSandbox) -> None:
    """The active account is free again first."""
    waiting(sandbox)
    sandbox.set_state(active_account="main", accounts={"backup": {"exhausted_until": stamp(days=2)}})
    sandbox.quietly("failover-check")
    sessions = sandbox.state()["sessions"]
    for session in sessions.values():
        session["hit"]["resets_at"] = stamp(seconds=-1)
    exhausted = {name: {"exhausted_until": stamp(days=d)} for name, d in (("main", -1), ("backup", 2))}
    sandbox.set_state(sessions=sessions, accounts=exhausted)


def broken_store(sandbox: RecordedSandbox) -> None:
    swapped(sandbox)
    (sandbox.stored("backup") / ".credentials.json").write_text("{")


def failed(sandbox: RecordedSandbox) -> None:
    """No candidate is usable."""
    swapped(sandbox)
    script = sandbox.home / "switch"
    sandbox.write(script, "#!/bin/sh\necho no seat left for $2 >&2\nexit 3\n")
    script.chmod(0o700)
    sandbox.config["swap"] = {"method": "command", "command": [str(script), "{from}", "{to}"]}
    sandbox.set_state(active_account="main")


def unfinished(sandbox: RecordedSandbox) -> None:
    """A swap was killed before it wrote a file."""
    swapped(sandbox)
    sandbox.set_state(active_account="main", swap_in_progress={
        "started_at": stamp(seconds=-20), "kind": "swap", "from": "main", "to": "backup", "step": "save_back",
        "reason": "3 of 10", "candidates": [], "acted_on": list(POOL), "runs": 1,
    })  # fmt: skip


def state_reset(sandbox: RecordedSandbox) -> None:
    swapped(sandbox)
    sandbox.write(sandbox.state_file, "{")


def lifecycle(sandbox: RecordedSandbox) -> None:
    """The check starts the whole pool."""
    sandbox.config["pool"]["autonomous"].update(min=2, command="exec sleep 600")


OUTCOMES: tuple[Story, ...] = (
    no_sessions, ok, one_blocked, suspected, swapped, cooldown, paused, waiting, resumed, broken_store, failed,
    unfinished, state_reset, lifecycle,
)  # fmt: skip


def checked(before: Story, flags: tuple[str, ...], sandbox: RecordedSandbox) -> None:
    before(sandbox)
    sandbox.check(*flags)
    sandbox.show_state()


for outcome in OUTCOMES:
    name = f"check-{outcome.__name__.replace('_', '-')}"
    CASES[f"{name}-text"] = partial(checked, outcome, ())
    CASES[f"{name}-json"] = partial(checked, outcome, ("--json",))


@case
def check_dry_run(sandbox: RecordedSandbox) -> None:
    swapped(sandbox)
    sandbox.check("--dry-run")
    sandbox.check("--dry-run", "--json")


@case
def check_verbose_and_quiet(sandbox: RecordedSandbox) -> None:
    swapped(sandbox)
    sandbox.check("--dry-run", "--verbose")
    sandbox.check("--dry-run", "--quiet")


@case
def check_and_ctl_tell_their_version(sandbox: RecordedSandbox) -> None:
    sandbox.check("--version")
    sandbox.ctl("--version")


# --- failoverctl -----------------------------------------------------------------------------------------------------


def both(sandbox: RecordedSandbox, *words: str, stdin: str = "") -> None:
    """Run the command for text and for JSON."""
    sandbox.ctl(*words, stdin=stdin)
    sandbox.ctl(*words, "--json", stdin=stdin)


def looks(before: Story, sandbox: RecordedSandbox) -> None:
    """The commands that only read, after a swap has happened."""
    before(sandbox)
    for command in (("status",), ("history",), ("accounts",)):
        both(sandbox, *command)


for outcome in (no_sessions, ok, suspected, swapped, cooldown, paused, waiting, state_reset):
    CASES[f"ctl-looks-{outcome.__name__.replace('_', '-')}"] = partial(looks, outcome)


@case
def ctl_accounts_add_and_check(sandbox: RecordedSandbox) -> None:
    both(sandbox, "accounts", "check")
    shutil.rmtree(sandbox.stored("backup"))
    both(sandbox, "accounts", "check")
    sandbox.log_in("backup", generation=3)
    sandbox.ctl("accounts", "add", "main")
    both(sandbox, "accounts", "add", "backup")
    sandbox.ctl("accounts", "add", "third")


@case
def ctl_swap(sandbox: RecordedSandbox) -> None:
    swapped(sandbox)
    both(sandbox, "swap", "--dry-run")
    sandbox.ctl("swap", "--to", "third")
    sandbox.ctl("swap", "--to", "backup", "--json")
    both(sandbox, "swap", "--to", "backup")
    sandbox.show_state()


@case
def ctl_pause_and_resume(sandbox: RecordedSandbox) -> None:
    both(sandbox, "pause", "--for", "2h", "--reason", "moving the accounts")
    sandbox.show_state()
    both(sandbox, "pause")
    both(sandbox, "resume")


@case
def ctl_reset(sandbox: RecordedSandbox) -> None:
    sandbox.set_state(active_account="main", accounts={"backup": {"exhausted_until": stamp(hours=1)}})
    sandbox.ctl("reset", "third")
    both(sandbox, "reset", "backup")
    sandbox.set_state(accounts={"backup": {"exhausted_until": stamp(hours=1)}})
    sandbox.ctl("reset", "backup", "main", "--json")


@case
def ctl_explain_a_text(sandbox: RecordedSandbox) -> None:
    sandbox.write(sandbox.home / "screen.txt", HIT)
    both(sandbox, "explain", "screen.txt", "--at", "2026-11-23T10:23Z")
    both(sandbox, "explain", "-", "--at", "2026-11-23T10:23Z", stdin=OK)
    sandbox.ctl("explain", "missing.txt")


@case
def ctl_explain_a_session(sandbox: RecordedSandbox) -> None:
    swapped(sandbox)
    sandbox.ctl("explain", POOL[0], "--json")


@case
def ctl_report(sandbox: RecordedSandbox) -> None:
    sandbox.set_state(active_account="backup", history=PAST)
    sandbox.ctl("report", "--since", "2025-01-01T00:00Z", "-o", "page.html")
    sandbox.ctl("report", "--since", "2025-01-01T00:00Z", "--json")


@case
def ctl_doctor(sandbox: RecordedSandbox) -> None:
    cooldown(sandbox)
    both(sandbox, "doctor")
    sandbox.stored("backup").chmod(0o755)
    (sandbox.stored("backup") / ".credentials.json").write_text("{")
    both(sandbox, "doctor")


@case
def ctl_replay(sandbox: RecordedSandbox) -> None:
    swapped(sandbox)
    sandbox.quietly("failover-check", "--record", "seen")
    sandbox.quietly("failover-check", "--record", "seen")
    both(sandbox, "replay", "seen", "--verbose")
    sandbox.ctl("replay", "missing")


@case
def ctl_simulate(sandbox: RecordedSandbox) -> None:
    both(sandbox, "simulate", "--days", "2", "--strategy", "ordered,soonest_reset", "--threshold", "1,2")


@case
def ctl_init(sandbox: RecordedSandbox) -> None:
    sandbox.show(OK, *POOL, "ops")
    sandbox.ctl("init", "--prefix", "ccl-auto-", "--stdout", "--socket-path", str(sandbox.socket))
    sandbox.ctl("init", "--prefix", "ccl-auto-", "--dry-run", "--socket-path", str(sandbox.socket))


@case
def ctl_install_and_uninstall_without_systemd(sandbox: RecordedSandbox) -> None:
    both(sandbox, "install", "--dry-run")
    both(sandbox, "uninstall", "--dry-run")


@case
def ctl_demo(sandbox: RecordedSandbox) -> None:
    sandbox.ctl("demo", "--json")


@case
def ctl_notify_nobody(sandbox: RecordedSandbox) -> None:
    both(sandbox, "notify")


@case
def ctl_task(sandbox: RecordedSandbox) -> None:
    sandbox.config["dispatch"] = {"spool": str(sandbox.spool)}
    both(sandbox, "task", "list")
    sandbox.ctl("task", "add", "--json", "--priority", "3", "--dir", str(sandbox.home), stdin="mend the parser\n")
    added = next(path.name for path in (sandbox.spool / "queue").iterdir() if path.suffix != ".json")
    for command in ("show", "cancel", "retry"):
        both(sandbox, "task", command, added)
    both(sandbox, "task", "list", "--all")
    sandbox.ctl("task", "show", "none")


# --- the table of exit codes -----------------------------------------------------------------------------------------


@case
def exit_0_done(sandbox: RecordedSandbox) -> None:
    ok(sandbox)
    sandbox.check()


@case
def exit_1_a_swap_failed(sandbox: RecordedSandbox) -> None:
    failed(sandbox)
    sandbox.check()


@case
def exit_2_usage(sandbox: RecordedSandbox) -> None:
    sandbox.check("--nonsense")
    sandbox.check("--dry-run", "--record", "seen")
    sandbox.ctl("nonsense")
    sandbox.ctl()
    sandbox.ctl("history", "--since", "soon")


@case
def exit_65_state_reset(sandbox: RecordedSandbox) -> None:
    state_reset(sandbox)
    sandbox.check()
    sandbox.note("--- the files", plain("\n".join(sorted(path.name for path in sandbox.state_file.parent.iterdir()))))


@case
def exit_69_tmux_unavailable(sandbox: RecordedSandbox) -> None:
    sandbox.config["tmux"] = {"binary": "/nonexistent/tmux"}
    sandbox.check()
    sandbox.write(sandbox.config_file, {"tmux": {"binary": wrapper(sandbox, "echo 'cosmic rays' >&2; exit 1")}})
    sandbox.check()


@case
def exit_70_unforeseen(sandbox: RecordedSandbox) -> None:
    """A relative path is used in a deleted folder."""
    sandbox.write(sandbox.config_file, sandbox.config)
    gone = sandbox.folder / "gone"
    script = f"cd {gone} && rmdir {gone} && exec {shlex.quote(sys.executable)} -m failover_oneshot --state s.json"
    gone.mkdir()
    sandbox.shell(script, "failover-check --state s.json    # in a folder that is gone")


@case
def exit_74_state_unreadable(sandbox: RecordedSandbox) -> None:
    sandbox.write(sandbox.state_file, '{"version": 99}')
    sandbox.check()
    sandbox.ctl("status")
    sandbox.state_file.unlink()
    sandbox.state_file.parent.chmod(0o777)
    sandbox.check()


@case
def exit_75_try_again(sandbox: RecordedSandbox) -> None:
    sandbox.config["state"]["lock_timeout"] = "200ms"
    sandbox.quietly("failover-check")
    with sandbox.locked():
        sandbox.check()
        sandbox.ctl("pause")
    sandbox.write(sandbox.config_file, {"tmux": {"binary": wrapper(sandbox, "exec sleep 600"), "timeout": "200ms"}})
    sandbox.check()


@case
def exit_78_config_wrong(sandbox: RecordedSandbox) -> None:
    sandbox.write(
        sandbox.config_file, "quota:\n  pool_treshold: 2\n  patience: soon\naccounts: 7\nstate: {history: -1}\n"
    )
    sandbox.check()
    sandbox.ctl("status")
    sandbox.check("--config", "missing.yaml")


def wrapper(sandbox: RecordedSandbox, body: str) -> str:
    """The path of a script that replaces tmux."""
    sandbox.write(sandbox.folder / "wrapper", f"#!/bin/sh\n{body}\n")
    (sandbox.folder / "wrapper").chmod(0o700)
    return str(sandbox.folder / "wrapper")


# --- the comparison --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CASES)
def test_the_output_is_as_recorded(name: str) -> None:
    with throwaway_sandbox() as sandbox:
        CASES[name](sandbox)
        found = sandbox.recorded()
    file = FOLDER / f"{name}.txt"
    if os.environ.get("GOLDEN") == "write":
        FOLDER.mkdir(exist_ok=True)
        file.write_text(found, encoding="utf-8")
    expected = file.read_text(encoding="utf-8") if file.exists() else ""
    if comparable(expected) != comparable(found):
        pytest.fail(difference(file, expected, found), pytrace=False)


def test_each_recording_belongs_to_a_case() -> None:
    left_over = {path.name for path in FOLDER.iterdir()} - {f"{name}.txt" for name in CASES}
    assert not left_over, "remove what no case writes any more"


def test_every_command_has_its_help_recorded() -> None:
    """The commands are taken from the help of failoverctl."""
    text = (FOLDER / "help-failoverctl.txt").read_text(encoding="utf-8")
    listed = re.findall(r"^  ([a-z]+)  ", text, re.MULTILINE)
    assert sorted(listed) == sorted(COMMANDS)


def comparable(text: str) -> object:
    """The words only, if argparse is of another Python, which breaks lines elsewhere and prints a metavar once."""
    if sys.version_info[:2] == RECORDED_ON:
        return text
    return re.sub(r"(-\w) (\S+), (--\S+) \2", r"\1, \3 \2", text).replace("'", "").split()


def difference(file: Path, expected: str, found: str) -> str:
    lines = difflib.unified_diff(expected.splitlines(), found.splitlines(), "recorded", "now", lineterm="")
    return f"{file.relative_to(ROOT)} (GOLDEN=write records the output again):\n" + "\n".join(lines)
