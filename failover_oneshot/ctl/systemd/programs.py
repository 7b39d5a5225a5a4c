"""Runs the system programs that `failoverctl` needs: systemctl, loginctl, timedatectl."""

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
TIMEOUT = 15.0  # seconds: each of them only answers a question
DATA = Path(__file__).parents[2] / "data"  # the units of deploy/, also in a wheel

NO_MANAGER = (
    "no systemd user manager available: {why}\n"
    "Containers, `su` and `sudo -u` often have none. Log in as the user (ssh, machinectl shell), or run the check from "
    "another scheduler, such as cron:\n"
    "  * * * * * {check} -q; sleep 30; {check} -q\n"
    "Or install a system unit, as described in deploy/failover-system.conf in the project."
)


class ProgramOutput(Struct, frozen=True):
    """A program's output; ``ok`` is also false if the program is missing or timed out."""

    ok: bool
    out: str
    error: str  # one line


def ask(*argv: str, environ: Mapping[str, str] | None = None, timeout: float = TIMEOUT) -> ProgramOutput:
    """Run a program and wait at most ``timeout`` seconds for it. Never raises."""
    try:
        done = subprocess.run(
            argv, env=environ, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout, check=False
        )
    except FileNotFoundError:
        return ProgramOutput(False, "", f"{argv[0]} is not installed")
    except subprocess.TimeoutExpired:
        return ProgramOutput(False, "", f"{argv[0]} did not answer within {timeout:g} s")
    except OSError as problem:
        return ProgramOutput(False, "", f"cannot run {argv[0]}: {problem.strerror}")
    error = " ".join(done.stderr.decode(errors="replace").split())
    out = done.stdout.decode(errors="replace").strip()
    return ProgramOutput(
        done.returncode == 0, out, error or (f"exit status {done.returncode}" if done.returncode else "")
    )


def systemctl(*argv: str) -> ProgramOutput:
    """Run `systemctl --user` with these arguments."""
    return ask("systemctl", "--user", "--no-pager", *argv)


def properties(unit: str, *names: str) -> dict[str, str]:
    """Properties of a unit, or of the manager itself if ``unit`` is ""; empty if no manager answers.

    The values of a property that is printed several times (as a timer's are) are joined with line breaks.
    """
    said = systemctl("show", *([unit] if unit else []), *(f"--property={name}" for name in names))
    found: dict[str, str] = {}
    for name, sign, value in (line.partition("=") for line in said.out.splitlines() if said.ok):
        if sign:
            found[name] = f"{found[name]}\n{value}" if name in found else value
    return found


def no_manager() -> str | None:
    """Why no user manager is available, None if one is."""
    said = systemctl("show", "--property=Version")
    return None if said.ok and said.out else said.error or "systemctl printed no version"


def linger() -> bool | None:
    """Whether the user's units also run while the user is logged out; None if unknown."""
    user = user_name()
    said = ask("loginctl", "show-user", user, "--property=Linger")
    if said.ok and "=" in said.out:
        return said.out.endswith("=yes")
    return True if Path("/var/lib/systemd/linger", user).exists() else None


def user_name() -> str:
    """The name of the user that this process runs as."""
    try:
        import pwd

        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return getpass.getuser()


def check_program(path: str | None) -> str | None:
    """The path of this installation's failover-check that survives an upgrade; None if there is none.

    ``path``: $PATH. pipx links its programs into ~/.local/bin; that link is the path to use.
    """
    folders = [Path(sys.executable).parent, Path(os.path.realpath(sys.argv[0])).parent]
    beside = next((f / "failover-check" for f in folders if os.access(f / "failover-check", os.X_OK)), None)
    found = shutil.which("failover-check", path=path)
    if beside is None:
        return os.path.abspath(found) if found else None  # noqa: PTH100 - the link is not to be resolved
    return os.path.abspath(found) if found and os.path.samefile(found, beside) else str(beside)  # noqa: PTH100, PTH121


def template(name: str) -> str:
    """The text of a shipped unit, `SERVICE` or `TIMER`."""
    return (DATA / name).read_text(encoding="utf-8")


def seen_from_here(settings: Config, file: Path, state: str | None, environ: Mapping[str, str]) -> UnitView:
    """The paths that the units must name, because the manager has none of the shell's variables and options."""
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
