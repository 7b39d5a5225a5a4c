"""A real `systemd --user` for tests, also where PID 1 is not systemd: in a private mount namespace, for root only.

Nothing of it is left behind: own home, own runtime folder, own cgroup, own unit path (the machine's user units are not
started), and at the end every process in its namespace is ended.
"""

import os
import re
import shutil
import signal
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from tests.support.polling import poll

SYSTEMD = next((p for p in ("/usr/lib/systemd/systemd", "/lib/systemd/systemd") if Path(p).exists()), "")
TARGETS = ("basic.target", "timers.target", "sockets.target", "paths.target", "shutdown.target", "exit.target")
# `/run` is hidden rather than written to: `/run/systemd/system` is how systemctl knows that systemd runs. The manager
# gets a cgroup of its own in each hierarchy that systemd may use, so that two of them never share a unit's cgroup.
HIERARCHIES = ("/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified", "/sys/fs/cgroup")
BEGIN = f"""
for root in {" ".join(HIERARCHIES)}; do
    [ -f $root/cgroup.procs ] && mkdir "$root/$CGROUP" && echo $$ > "$root/$CGROUP/cgroup.procs"
done
mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/system && exec "$SYSTEMD" --user --unit=basic.target
"""
QUICK = "[Timer]\nOnActiveSec=\nOnActiveSec=100ms\nOnUnitInactiveSec=500ms\nAccuracySec=20ms\n"
# The manager's own limit, five starts in ten seconds, is far from what 30 seconds do.
UNLIMITED = "[Unit]\nStartLimitIntervalSec=0\n[Service]\nStandardOutput=append:{0}\nStandardError=append:{0}\n"


class UnavailableError(Exception):
    """It can not run here; the text says why."""


class UserManager:
    """`with UserManager() as manager`: one user manager; raise UnavailableError where it can not run."""

    def __init__(self) -> None:
        # A short path: a socket's is 107 bytes at most.
        self.folder = Path(tempfile.mkdtemp(prefix="fo-"))
        self.home, self.runtime = self.folder / "home", self.folder / "run"
        self.units = self.home / ".config/systemd/user"
        self.log = self.folder / "systemd.log"
        self.cgroup = self.folder.name
        self.env = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "XDG_RUNTIME_DIR": str(self.runtime),
            "SYSTEMD_UNIT_PATH": f"{self.units}:{self.folder / 'base'}",
        }
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "UserManager":
        try:
            self._start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop()

    def systemctl(self, *argv: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """`systemctl --user` in the manager's namespace."""
        return self.run("systemctl", "--user", "--no-pager", *argv, check=check)

    def run(self, *argv: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Any program in the manager's namespace, with its home."""
        assert self.process
        command = ["nsenter", f"--mount=/proc/{self.process.pid}/ns/mnt", *argv]
        done = subprocess.run(command, check=False, capture_output=True, text=True, env=self.env, timeout=60)
        assert not check or done.returncode == 0, f"{argv}: {done.stderr}{done.stdout}"
        return done

    def install(self, *units: Path) -> None:
        """Copy unit files into the user's folder."""
        for unit in units:
            shutil.copy(unit, self.units)
        self.systemctl("daemon-reload")

    def drop_in(self, unit: str, text: str) -> None:
        """Write the unit's drop-in, over the one before."""
        path = self.units / f"{unit}.d" / "test.conf"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        self.systemctl("daemon-reload")

    def property(self, unit: str, name: str) -> str:
        """One property, as `systemctl show` prints it."""
        return self.systemctl("show", "--value", "-p", name, unit).stdout.strip()

    def _start(self) -> None:
        if os.geteuid() != 0:
            raise UnavailableError("a private mount namespace needs root")
        for program in ("unshare", "nsenter", "mount", "systemctl"):
            if not shutil.which(program):
                raise UnavailableError(f"{program} is not installed")
        if not SYSTEMD:
            raise UnavailableError("systemd is not installed")
        for folder in (self.units, self.folder / "base", self.runtime):
            folder.mkdir(parents=True, mode=0o700)
        for name in (*TARGETS, "systemd-exit.service"):
            shutil.copy(Path(SYSTEMD).parent / "user" / name, self.folder / "base")
        env = {**self.env, "SYSTEMD": SYSTEMD, "CGROUP": self.cgroup, "LANG": "C"}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                ["unshare", "--mount", "sh", "-c", BEGIN], env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        poll(self._ready, seconds=30)

    def _ready(self) -> bool:
        assert self.process
        if self.process.poll() is not None:
            said = " ".join(self.log.read_text(errors="replace").split()) or "it said nothing"
            raise UnavailableError(f"systemd --user does not start here: {said}")
        return (self.runtime / "systemd/private").exists() and (
            self.systemctl("is-active", "basic.target", check=False).returncode == 0
        )

    def _stop(self) -> None:
        if self.process:
            # Held open: the kernel gives the number of a namespace that is gone to the next one that is made.
            with suppress(OSError), Path(f"/proc/{self.process.pid}/ns/mnt").open("rb"):
                self._end_all(self.process, self._namespace(self.process.pid))
        poll(self._removed)
        shutil.rmtree(self.folder)

    def _end_all(self, process: subprocess.Popen[bytes], namespace: str) -> None:
        """End the manager, and whoever is in its namespace: units, and what they left running."""
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if namespace and namespace != self._namespace(os.getpid()):
            for pid in (int(p.name) for p in Path("/proc").iterdir() if p.name.isdigit()):
                if self._namespace(pid) == namespace:
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)

    @staticmethod
    def _namespace(pid: int) -> str:
        try:
            return str(Path(f"/proc/{pid}/ns/mnt").readlink())
        except OSError:
            return ""

    def _removed(self) -> bool:
        """Remove our cgroups; they are busy until the last process in them is gone."""
        assert re.fullmatch(r"fo-\w+", self.cgroup)
        for root in HIERARCHIES:
            for folder, _, _ in os.walk(f"{root}/{self.cgroup}", topdown=False):
                try:
                    Path(folder).rmdir()
                except OSError:
                    return False
        return True


def program(manager: UserManager, text: str) -> None:
    """What the shipped ExecStart= runs."""
    path = manager.home / ".local/bin/failover-check"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
