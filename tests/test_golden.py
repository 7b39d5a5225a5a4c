"""What both programs print, byte for byte, against the files of tests/golden/: a refactoring changes none of them.

A case is a function that tells a story in a lab; its record is compared with the file of its name. After a change that
is meant: GOLDEN=write python -m pytest tests/test_golden.py, and read the difference before it is committed.
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

from tests.support.golden import HIT, OK, POOL, VAGUE, Lab, hit, laboratory, plain, stamp
from tests.support.paths import ROOT

FOLDER = Path(__file__).parent / "golden"
RECORDED_ON = (3, 11)  # argparse lays the help out in another way in later versions
COMMANDS = (
    "status", "history", "swap", "pause", "resume", "reset", "explain", "replay", "simulate", "accounts", "completion",
    "demo", "doctor", "init", "install", "notify", "report", "task", "uninstall",
)  # fmt: skip
TASK_COMMANDS = ("add", "list", "show", "cancel", "retry")

# A hit, a wait and a swap of long ago: what lies between them does not depend on when the case runs.
DAY = "2025-01-05T"
HITS = dict.fromkeys(POOL, f"{DAY}09:59:00Z")
PAST = [
    {"at": f"{DAY}08:00:00Z", "outcome": "waiting", "from": "main", "to": None, "since": f"{DAY}07:00:00Z",
     "account": "main", "until": f"{DAY}08:00:00Z", "reason": "no account was free for 1h"},
    {"at": f"{DAY}10:00:00Z", "outcome": "swapped", "from": "main", "to": "backup", "reason": "3 of 10", "rejected": {},
     "sessions": dict.fromkeys(POOL, "recreate done"), "exhausted_until": f"{DAY}12:00:00Z", "hits": HITS},
]  # fmt: skip

Story = Callable[[Lab], None]
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


def show_help(words: tuple[str, ...], lab: Lab) -> None:
    lab.run(*words, "--help")


CASES.update({"-".join(("help", *words)): partial(show_help, words) for words in helps()})


# --- failover-check: each outcome, as text and as JSON, with the state that it leaves --------------------------------


def no_sessions(lab: Lab) -> None:
    """There is no server."""


def ok(lab: Lab) -> None:
    lab.show(OK, *POOL, "ops")


def one_blocked(lab: Lab) -> None:
    """Below the threshold; the neighbours do not count."""
    lab.show(hit(), POOL[0], "ccl-0", "ccl-auto-1")
    lab.show(OK, *POOL[1:])


def suspected(lab: Lab) -> None:
    lab.show(VAGUE, *POOL[:2])


def swapped(lab: Lab) -> None:
    lab.show(hit(), *POOL, "ops")


def cooldown(lab: Lab) -> None:
    swapped(lab)
    lab.quietly("failover-check")
    lab.settled()


def paused(lab: Lab) -> None:
    swapped(lab)
    lab.quietly("failoverctl", "pause", "--for", "2h", "--reason", "moving the accounts")


def waiting(lab: Lab) -> None:
    swapped(lab)
    lab.set_state(active_account="main", accounts={"backup": {"exhausted_until": stamp(hours=1)}})


def resumed(lab: Lab) -> None:
    """The active account is free again before any other."""
    waiting(lab)
    lab.set_state(active_account="main", accounts={"backup": {"exhausted_until": stamp(days=2)}})
    lab.quietly("failover-check")
    sessions = lab.state()["sessions"]
    for session in sessions.values():
        session["hit"]["resets_at"] = stamp(seconds=-1)
    exhausted = {name: {"exhausted_until": stamp(days=d)} for name, d in (("main", -1), ("backup", 2))}
    lab.set_state(sessions=sessions, accounts=exhausted)


def broken_store(lab: Lab) -> None:
    swapped(lab)
    (lab.stored("backup") / ".credentials.json").write_text("{")


def failed(lab: Lab) -> None:
    """No account takes the swap."""
    swapped(lab)
    script = lab.home / "switch"
    lab.write(script, "#!/bin/sh\necho no seat left for $2 >&2\nexit 3\n")
    script.chmod(0o700)
    lab.config["swap"] = {"method": "command", "command": [str(script), "{from}", "{to}"]}
    lab.set_state(active_account="main")


def unfinished(lab: Lab) -> None:
    """A swap that was killed before it began to write."""
    swapped(lab)
    lab.set_state(active_account="main", swap_in_progress={
        "started_at": stamp(seconds=-20), "kind": "swap", "from": "main", "to": "backup", "step": "save_back",
        "reason": "3 of 10", "candidates": [], "acted_on": list(POOL), "runs": 1,
    })  # fmt: skip


def state_reset(lab: Lab) -> None:
    swapped(lab)
    lab.write(lab.state_file, "{")


def lifecycle(lab: Lab) -> None:
    """The pool is made from nothing."""
    lab.config["pool"]["autonomous"].update(min=2, command="exec sleep 600")


OUTCOMES: tuple[Story, ...] = (
    no_sessions, ok, one_blocked, suspected, swapped, cooldown, paused, waiting, resumed, broken_store, failed,
    unfinished, state_reset, lifecycle,
)  # fmt: skip


def checked(before: Story, flags: tuple[str, ...], lab: Lab) -> None:
    before(lab)
    lab.check(*flags)
    lab.show_state()


for outcome in OUTCOMES:
    name = f"check-{outcome.__name__.replace('_', '-')}"
    CASES[f"{name}-text"] = partial(checked, outcome, ())
    CASES[f"{name}-json"] = partial(checked, outcome, ("--json",))


@case
def check_dry_run(lab: Lab) -> None:
    swapped(lab)
    lab.check("--dry-run")
    lab.check("--dry-run", "--json")


@case
def check_verbose_and_quiet(lab: Lab) -> None:
    swapped(lab)
    lab.check("--dry-run", "--verbose")
    lab.check("--dry-run", "--quiet")


@case
def check_and_ctl_tell_their_version(lab: Lab) -> None:
    lab.check("--version")
    lab.ctl("--version")


# --- failoverctl -----------------------------------------------------------------------------------------------------


def both(lab: Lab, *words: str, stdin: str = "") -> None:
    """As text and as JSON."""
    lab.ctl(*words, stdin=stdin)
    lab.ctl(*words, "--json", stdin=stdin)


def looks(before: Story, lab: Lab) -> None:
    """The commands that only look, after something has happened."""
    before(lab)
    for command in (("status",), ("history",), ("accounts",)):
        both(lab, *command)


for outcome in (no_sessions, ok, suspected, swapped, cooldown, paused, waiting, state_reset):
    CASES[f"ctl-looks-{outcome.__name__.replace('_', '-')}"] = partial(looks, outcome)


@case
def ctl_accounts_add_and_check(lab: Lab) -> None:
    both(lab, "accounts", "check")
    shutil.rmtree(lab.stored("backup"))
    both(lab, "accounts", "check")
    lab.log_in("backup", generation=3)
    lab.ctl("accounts", "add", "main")
    lab.ctl("accounts", "add", "third")
    both(lab, "accounts", "add", "backup")


@case
def ctl_swap(lab: Lab) -> None:
    swapped(lab)
    both(lab, "swap", "--dry-run")
    lab.ctl("swap", "--to", "third")
    lab.ctl("swap", "--to", "backup", "--json")
    both(lab, "swap", "--to", "backup")
    lab.show_state()


@case
def ctl_pause_and_resume(lab: Lab) -> None:
    both(lab, "pause", "--for", "2h", "--reason", "moving the accounts")
    lab.show_state()
    both(lab, "pause")
    both(lab, "resume")


@case
def ctl_reset(lab: Lab) -> None:
    lab.set_state(active_account="main", accounts={"backup": {"exhausted_until": stamp(hours=1)}})
    lab.ctl("reset", "third")
    both(lab, "reset", "backup")
    lab.set_state(accounts={"backup": {"exhausted_until": stamp(hours=1)}})
    lab.ctl("reset", "backup", "main", "--json")


@case
def ctl_explain_a_text(lab: Lab) -> None:
    lab.write(lab.home / "screen.txt", HIT)
    both(lab, "explain", "screen.txt", "--at", "2026-11-23T10:23Z")
    both(lab, "explain", "-", "--at", "2026-11-23T10:23Z", stdin=OK)
    lab.ctl("explain", "missing.txt")


@case
def ctl_explain_a_session(lab: Lab) -> None:
    swapped(lab)
    lab.ctl("explain", POOL[0], "--json")


@case
def ctl_report(lab: Lab) -> None:
    lab.set_state(active_account="backup", history=PAST)
    lab.ctl("report", "--since", "2025-01-01T00:00Z", "-o", "page.html")
    lab.ctl("report", "--since", "2025-01-01T00:00Z", "--json")


@case
def ctl_doctor(lab: Lab) -> None:
    cooldown(lab)
    both(lab, "doctor")
    lab.stored("backup").chmod(0o755)
    (lab.stored("backup") / ".credentials.json").write_text("{")
    both(lab, "doctor")


@case
def ctl_replay(lab: Lab) -> None:
    swapped(lab)
    lab.quietly("failover-check", "--record", "seen")
    lab.quietly("failover-check", "--record", "seen")
    both(lab, "replay", "seen", "--verbose")
    lab.ctl("replay", "missing")


@case
def ctl_simulate(lab: Lab) -> None:
    both(lab, "simulate", "--days", "2", "--strategy", "ordered,soonest_reset", "--threshold", "1,2")


@case
def ctl_init(lab: Lab) -> None:
    lab.show(OK, *POOL, "ops")
    lab.ctl("init", "--prefix", "ccl-auto-", "--stdout", "--socket-path", str(lab.socket))
    lab.ctl("init", "--prefix", "ccl-auto-", "--dry-run", "--socket-path", str(lab.socket))


@case
def ctl_install_and_uninstall_without_systemd(lab: Lab) -> None:
    both(lab, "install", "--dry-run")
    both(lab, "uninstall", "--dry-run")


@case
def ctl_demo(lab: Lab) -> None:
    lab.ctl("demo", "--json")


@case
def ctl_notify_nobody(lab: Lab) -> None:
    both(lab, "notify")


@case
def ctl_task(lab: Lab) -> None:
    lab.config["dispatch"] = {"spool": str(lab.spool)}
    both(lab, "task", "list")
    lab.ctl("task", "add", "--json", "--priority", "3", "--dir", str(lab.home), stdin="mend the parser\n")
    added = next(path.name for path in (lab.spool / "queue").iterdir() if path.suffix != ".json")
    for command in ("show", "cancel", "retry"):
        both(lab, "task", command, added)
    both(lab, "task", "list", "--all")
    lab.ctl("task", "show", "none")


# --- the table of exit codes -----------------------------------------------------------------------------------------


@case
def exit_0_done(lab: Lab) -> None:
    ok(lab)
    lab.check()


@case
def exit_1_a_swap_failed(lab: Lab) -> None:
    failed(lab)
    lab.check()


@case
def exit_2_usage(lab: Lab) -> None:
    lab.check("--nonsense")
    lab.check("--dry-run", "--record", "seen")
    lab.ctl("nonsense")
    lab.ctl()
    lab.ctl("history", "--since", "soon")


@case
def exit_65_state_reset(lab: Lab) -> None:
    state_reset(lab)
    lab.check()
    lab.note("--- the files", plain("\n".join(sorted(path.name for path in lab.state_file.parent.iterdir()))))


@case
def exit_69_tmux_unavailable(lab: Lab) -> None:
    lab.config["tmux"] = {"binary": "/nonexistent/tmux"}
    lab.check()
    lab.write(lab.config_file, {"tmux": {"binary": wrapper(lab, "echo 'cosmic rays' >&2; exit 1")}})
    lab.check()


@case
def exit_70_unforeseen(lab: Lab) -> None:
    """A relative path, in a folder that is gone."""
    lab.write(lab.config_file, lab.config)
    gone = lab.folder / "gone"
    script = f"cd {gone} && rmdir {gone} && exec {shlex.quote(sys.executable)} -m failover_oneshot --state s.json"
    gone.mkdir()
    lab.shell(script, "failover-check --state s.json    # in a folder that is gone")


@case
def exit_74_state_unreadable(lab: Lab) -> None:
    lab.write(lab.state_file, '{"version": 99}')
    lab.check()
    lab.ctl("status")
    lab.state_file.unlink()
    lab.state_file.parent.chmod(0o777)
    lab.check()


@case
def exit_75_try_again(lab: Lab) -> None:
    lab.config["state"]["lock_timeout"] = "200ms"
    lab.quietly("failover-check")
    with lab.locked():
        lab.check()
        lab.ctl("pause")
    lab.write(lab.config_file, {"tmux": {"binary": wrapper(lab, "exec sleep 600"), "timeout": "200ms"}})
    lab.check()


@case
def exit_78_config_wrong(lab: Lab) -> None:
    lab.write(lab.config_file, "quota:\n  pool_treshold: 2\n  patience: soon\naccounts: 7\nstate: {history: -1}\n")
    lab.check()
    lab.ctl("status")
    lab.check("--config", "missing.yaml")


def wrapper(lab: Lab, body: str) -> str:
    """A program in the place of tmux."""
    lab.write(lab.folder / "wrapper", f"#!/bin/sh\n{body}\n")
    (lab.folder / "wrapper").chmod(0o700)
    return str(lab.folder / "wrapper")


# --- the comparison --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CASES)
def test_the_programs_say_what_is_recorded(name: str) -> None:
    with laboratory() as lab:
        CASES[name](lab)
        found = lab.recorded()
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
    """The commands are those that failoverctl itself lists."""
    text = (FOLDER / "help-failoverctl.txt").read_text(encoding="utf-8")
    listed = re.findall(r"^    ([a-z]+)(?:  |$)", text, re.MULTILINE)
    assert sorted(listed) == sorted(COMMANDS)


def comparable(text: str) -> object:
    """Another Python's argparse breaks lines elsewhere and names an option's value once: there the words count."""
    if sys.version_info[:2] == RECORDED_ON:
        return text
    return re.sub(r"(-\w) (\S+), (--\S+) \2", r"\1, \3 \2", text).replace("'", "").split()


def difference(file: Path, expected: str, found: str) -> str:
    lines = difflib.unified_diff(expected.splitlines(), found.splitlines(), "recorded", "now", lineterm="")
    return f"{file.relative_to(ROOT)} (GOLDEN=write records it anew):\n" + "\n".join(lines)
