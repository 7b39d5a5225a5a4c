"""A real `systemd --user` for tests, in a private mount namespace; it needs root, but not systemd as PID 1.

It leaves nothing behind. Home, runtime folder, cgroup and unit path are its own, so the machine's user units are not
started. At the end every process in its namespace is killed.
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
# A tmpfs hides the real `/run`, because systemctl takes `/run/systemd/system` as proof that systemd runs. The manager
# has its own cgroup in each hierarchy that systemd may use, so that two managers never share a unit's cgroup.
HIERARCHIES = ("/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified", "/sys/fs/cgroup")
BEGIN = f"""
for root in {" ".join(HIERARCHIES)}; do
    [ -f $root/cgroup.procs ] && mkdir "$root/$CGROUP" && echo $$ > "$root/$CGROUP/cgroup.procs"
done
mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/system && exec "$SYSTEMD" --user --unit=basic.target
"""
QUICK = "[Timer]\nOnActiveSec=\nOnActiveSec=100ms\nOnUnitInactiveSec=500ms\nAccuracySec=20ms\n"
# The manager's start limit, five starts in ten seconds, does not matter at the real interval of 30 seconds.
UNLIMITED = "[Unit]\nStartLimitIntervalSec=0\n[Service]\nStandardOutput=append:{0}\nStandardError=append:{0}\n"


class UnavailableError(Exception):
    """The user manager cannot run here; the text says why."""


class UserManager:
    """A context manager that starts one user manager; UnavailableError if it cannot run here."""

    def __init__(self) -> None:
        # A short path, because the path of a socket has at most 107 bytes.
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
        """Run `systemctl --user` in the manager's namespace."""
        return self.run("systemctl", "--user", "--no-pager", *argv, check=check)

    def run(self, *argv: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a program in the manager's namespace, with its home."""
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
        """Write the unit's drop-in; it replaces the earlier one."""
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
            output = " ".join(self.log.read_text(errors="replace").split()) or "no output"
            raise UnavailableError(f"systemd --user does not start here: {output}")
        return (self.runtime / "systemd/private").exists() and (
            self.systemctl("is-active", "basic.target", check=False).returncode == 0
        )

    def _stop(self) -> None:
        if self.process:
            # Keep it open, because the kernel gives the number of a removed namespace to the next new one.
            with suppress(OSError), Path(f"/proc/{self.process.pid}/ns/mnt").open("rb"):
                self._end_all(self.process, self._namespace(self.process.pid))
        poll(self._removed)
        shutil.rmtree(self.folder)

    def _end_all(self, process: subprocess.Popen[bytes], namespace: str) -> None:
        """End the manager and all processes in its namespace: units and their leftovers."""
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
        """Remove our cgroups; False while processes are left in them."""
        assert re.fullmatch(r"fo-\w+", self.cgroup)
        for root in HIERARCHIES:
            for folder, _, _ in os.walk(f"{root}/{self.cgroup}", topdown=False):
                try:
                    Path(folder).rmdir()
                except OSError:
                    return False
        return True


def program(manager: UserManager, text: str) -> None:
    """Write the script that the shipped ExecStart= runs."""
    path = manager.home / ".local/bin/failover-check"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
