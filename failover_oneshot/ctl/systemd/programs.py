"""The programs of the machine that `failoverctl` asks: systemctl, loginctl, timedatectl and the like."""

import getpass
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from failover_oneshot.config.model import Config
from failover_oneshot.ctl.systemd.units import SERVICE, TIMER, UnitView

UNITS = (SERVICE, TIMER)
TIMEOUT = 15.0  # seconds: none of them has more to do than to answer
DATA = Path(__file__).parents[2] / "data"  # the units of deploy/, in a wheel too

NO_MANAGER = (
    "no systemd user manager answers here ({why}).\n"
    "In a container, in `su` or in `sudo -u` there often is none: log in as the user (ssh, machinectl shell), or run "
    "the check by another scheduler, with cron for instance as\n"
    "  * * * * * {check} -q; sleep 30; {check} -q\n"
    "or as a system unit: failover-system.conf in the project's deploy/ says how."
)


class ProgramOutput(Struct, frozen=True):
    """What a program answered; ``ok`` is false too when there is none or it did not answer in time."""

    ok: bool
    out: str
    error: str  # one line


def ask(*argv: str, environ: Mapping[str, str] | None = None, timeout: float = TIMEOUT) -> ProgramOutput:
    """Run a program and wait for it, `timeout` seconds at most; never raises."""
    try:
        done = subprocess.run(
            argv, env=environ, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout, check=False
        )
    except FileNotFoundError:
        return ProgramOutput(False, "", f"{argv[0]} is not installed")
    except subprocess.TimeoutExpired:
        return ProgramOutput(False, "", f"{argv[0]} did not answer within {timeout:g} s")
    except OSError as problem:
        return ProgramOutput(False, "", f"{argv[0]} can not be run: {problem.strerror}")
    error = " ".join(done.stderr.decode(errors="replace").split())
    out = done.stdout.decode(errors="replace").strip()
    return ProgramOutput(
        done.returncode == 0, out, error or (f"exit status {done.returncode}" if done.returncode else "")
    )


def systemctl(*argv: str) -> ProgramOutput:
    """`systemctl --user`."""
    return ask("systemctl", "--user", "--no-pager", *argv)


def properties(unit: str, *names: str) -> dict[str, str]:
    """Properties of a unit, or of the manager itself for ""; empty when no manager answers.

    A property that is printed several times (a timer's) is the lines together.
    """
    said = systemctl("show", *([unit] if unit else []), *(f"--property={name}" for name in names))
    found: dict[str, str] = {}
    for name, sign, value in (line.partition("=") for line in said.out.splitlines() if said.ok):
        if sign:
            found[name] = f"{found[name]}\n{value}" if name in found else value
    return found


def no_manager() -> str | None:
    """Why there is no user manager, None when there is one."""
    said = systemctl("show", "--property=Version")
    return None if said.ok and said.out else said.error or "it says nothing"


def linger() -> bool | None:
    """Whether the user's units run while the user is not logged in; None when that can not be told."""
    user = user_name()
    said = ask("loginctl", "show-user", user, "--property=Linger")
    if said.ok and "=" in said.out:
        return said.out.endswith("=yes")
    return True if Path("/var/lib/systemd/linger", user).exists() else None


def user_name() -> str:
    """The user whose units these are."""
    try:
        import pwd

        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return getpass.getuser()


def check_program(path: str | None) -> str | None:
    """The failover-check of this installation, by the name that survives an upgrade; None when there is none.

    ``path``: $PATH. pipx links its programs into ~/.local/bin: that link is the name to keep.
    """
    folders = [Path(sys.executable).parent, Path(os.path.realpath(sys.argv[0])).parent]
    beside = next((f / "failover-check" for f in folders if os.access(f / "failover-check", os.X_OK)), None)
    found = shutil.which("failover-check", path=path)
    if beside is None:
        return os.path.abspath(found) if found else None  # noqa: PTH100 - the link is not to be resolved
    return os.path.abspath(found) if found and os.path.samefile(found, beside) else str(beside)  # noqa: PTH100, PTH121


def template(name: str) -> str:
    """The shipped unit of that name (`SERVICE` or `TIMER`)."""
    return (DATA / name).read_text(encoding="utf-8")


def seen_from_here(settings: Config, file: Path, state: str | None, environ: Mapping[str, str]) -> UnitView:
    """What the timer has to be told, because the manager knows nothing of the shell's variables and flags."""
    home = environ.get("HOME", "/")
    default = file in (Path(home, ".config/failover/failover.yaml"), Path("/etc/failover/failover.yaml"))
    xdg = environ.get("XDG_STATE_HOME", "")
    if not state and not settings.state.path and xdg.startswith("/") and Path(xdg) != Path(home, ".local/state"):
        state = str(Path(xdg, "failover/state.json"))
    return UnitView(
        config="" if default else str(file),
        state=os.path.abspath(state) if state else "",  # noqa: PTH100 - the name, not what it links to
        tmux_tmpdir="" if settings.tmux.socket_path else environ.get("TMUX_TMPDIR", ""),
    )
