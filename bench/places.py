"""The installations that are measured: one virtual environment for each program under `.bench`, as pipx makes them."""

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
    """The Python for all of them: `wanted`, or the newest on the PATH that runs the peer, or this interpreter."""
    names = [wanted] if wanted else [f"python3.{minor}" for minor in (14, 13, 12)]
    for name in names:
        if shutil.which(name) and version(name) >= (3, 11):
            return str(shutil.which(name))
    if wanted:
        raise SystemExit(f"not a working Python 3.11 or newer: '{wanted}'")
    return sys.executable


def version(python: str) -> tuple[int, ...]:
    """The version of an interpreter, such as (3, 12, 1); (0,) if it does not run."""
    code = "import json, sys; print(json.dumps(sys.version_info[:3]))"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    return tuple(json.loads(done.stdout)) if done.returncode == 0 else (0,)


def installed(python: str, name: str, what: str) -> Path:
    """The `bin` folder of a new virtual environment in which pip has installed `what`."""
    venv = HERE / name
    subprocess.run([python, "-m", "venv", "--clear", str(venv)], check=True)
    pip = [str(venv / "bin/python"), "-m", "pip", "--quiet", "--disable-pip-version-check", "install", what]
    done = subprocess.run(pip, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{what} cannot be installed: {done.stderr.strip().splitlines()[-1]}")
    return venv / "bin"


def peer(python: str, home: Path) -> tuple[dict[str, list[str]], str]:
    """The peer's commands by name, for a throwaway home with two fake accounts; or no command, and why.

    They run in a network namespace without a network, so they reach no server.
    """
    if version(python) < PEER_NEEDS:
        return {}, f"{PEER} needs Python {'.'.join(map(str, PEER_NEEDS))}; name one with --python"
    alone = ["unshare", "--net"]
    if not shutil.which("unshare") or subprocess.run([*alone, "true"], capture_output=True, check=False).returncode:
        return {}, "running it without a network needs unshare and root"
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
    """All environment variables of the peer."""
    return {"HOME": str(home), "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}


def _log_in(home: Path, account: str) -> None:
    folder = home / ".claude"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    (folder / ".credentials.json").write_text(json.dumps(credentials(account)))
    (folder / ".credentials.json").chmod(0o600)
    (home / ".claude.json").write_text(json.dumps({"oauthAccount": identity(account)}))
