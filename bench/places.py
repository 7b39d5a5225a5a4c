"""Where the measured programs are installed: each in a virtual environment of its own under `.bench`, as by pipx."""

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from failover_oneshot.ctl.demo.sandbox import credentials, identity

ROOT = Path(__file__).parent.parent
HERE = ROOT / ".bench"
PEER = "claude-swap"
PEER_NEEDS = (3, 12)


def interpreter(wanted: str | None) -> str:
    """The Python for all of them: the named one, else the newest on the PATH that runs and is new enough for the peer,
    else this one."""
    names = [wanted] if wanted else [f"python3.{minor}" for minor in (14, 13, 12)]
    for name in names:
        if shutil.which(name) and version(name) >= (3, 11):
            return str(shutil.which(name))
    if wanted:
        raise SystemExit(f"{wanted} is no Python 3.11 or newer that runs")
    return sys.executable


def version(python: str) -> tuple[int, ...]:
    """Its version, (0,) when it does not run."""
    code = "import json, sys; print(json.dumps(sys.version_info[:3]))"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    return tuple(json.loads(done.stdout)) if done.returncode == 0 else (0,)


def installed(python: str, name: str, what: str) -> Path:
    """The `bin` of a virtual environment made afresh with that interpreter, `what` installed as a user would."""
    venv = HERE / name
    subprocess.run([python, "-m", "venv", "--clear", str(venv)], check=True)
    pip = [str(venv / "bin/python"), "-m", "pip", "--quiet", "--disable-pip-version-check", "install", what]
    done = subprocess.run(pip, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{what} can not be installed: {done.stderr.strip().splitlines()[-1]}")
    return venv / "bin"


def peer(python: str, home: Path) -> tuple[dict[str, list[str]], str]:
    """The peer's commands by name, in a throwaway home with two fake accounts; or none, and why.

    They run in a network namespace without any network: nothing is asked of anybody.
    """
    if version(python) < PEER_NEEDS:
        return {}, f"{PEER} needs Python {'.'.join(map(str, PEER_NEEDS))}; name one with --python"
    alone = ["unshare", "--net"]
    if not shutil.which("unshare") or subprocess.run([*alone, "true"], capture_output=True, check=False).returncode:
        return {}, "a process without network needs unshare, and root"
    try:
        cswap = str(installed(python, "peer", PEER) / "cswap")
    except SystemExit as error:
        return {}, str(error)
    command = [str(shutil.which("unshare")), "--net", cswap]
    for account in ("1", "2"):
        _log_in(home, account)
        subprocess.run([*command, "add"], env=environ(home), check=True, capture_output=True)
    return {
        "cswap auto --once --dry-run": [*command, "auto", "--once", "--dry-run"],
        "cswap status": [*command, "status"],
    }, ""


def environ(home: Path) -> Mapping[str, str]:
    """The peer's whole environment."""
    return {"HOME": str(home), "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}


def _log_in(home: Path, account: str) -> None:
    folder = home / ".claude"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    (folder / ".credentials.json").write_text(json.dumps(credentials(account)))
    (folder / ".credentials.json").chmod(0o600)
    (home / ".claude.json").write_text(json.dumps({"oauthAccount": identity(account)}))
