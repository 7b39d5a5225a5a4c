"""The unit files: systemd finds no fault, every line has a reason, and harmful lines are absent."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.paths import DEPLOY

SERVICE, TIMER, SYSTEM, HARDENED = (
    DEPLOY / f"failover{end}" for end in (".service", ".timer", "-system.conf", "-hardened.conf")
)


def settings(path: Path) -> list[tuple[str, str]]:
    """The assignments of a unit file, in order."""
    return [(m[1], m[2]) for m in re.finditer(r"^(\w+)=(.*)$", path.read_text(), re.MULTILINE)]


def verify(home: Path, *argv: str, units: Path) -> str:
    """The output of `systemd-analyze verify`, which is empty for a clean unit."""
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not installed")
    check = home / ".local/bin/failover-check"
    check.parent.mkdir(parents=True)
    check.touch(mode=0o755)
    env = {"PATH": os.environ["PATH"], "HOME": str(home), "XDG_RUNTIME_DIR": str(home), "SYSTEMD_UNIT_PATH": str(units)}
    done = subprocess.run(["systemd-analyze", "verify", *argv], check=False, capture_output=True, text=True, env=env)
    if "Failed to initialize manager" in done.stderr:
        pytest.skip(done.stderr.strip())
    return done.stdout + done.stderr


@pytest.fixture
def units(tmp_path: Path) -> Path:
    folder = tmp_path / "units"
    (folder / "failover.service.d").mkdir(parents=True)
    for unit in (SERVICE, TIMER):
        shutil.copy(unit, folder)
    # Only the units that every unit needs are linked here, because the machine's own units may have faults.
    for name in ("basic", "sysinit", "timers", "shutdown"):
        (folder / f"{name}.target").write_text(f"[Unit]\nDescription={name}\n")
    return folder


def test_the_user_units_are_clean(tmp_path: Path, units: Path) -> None:
    assert verify(tmp_path, "--user", SERVICE.name, TIMER.name, units=units) == ""


def test_the_system_units_are_clean(tmp_path: Path, units: Path) -> None:
    """The drop-in is included; the home of its user is replaced by one that exists."""
    text = SYSTEM.read_text().replace("/home/operator", str(tmp_path))
    (units / "failover.service.d/system.conf").write_text(text)
    assert verify(tmp_path, "--system", SERVICE.name, TIMER.name, units=units) == ""


def test_the_hardened_user_unit_is_clean_and_has_its_exposure_level(tmp_path: Path, units: Path) -> None:
    shutil.copy(HARDENED, units / "failover.service.d/hardened.conf")
    assert verify(tmp_path, "--user", SERVICE.name, TIMER.name, units=units) == ""
    for name, parts in (("9.7", [SERVICE]), ("6.0", [SERVICE, HARDENED])):
        unit = tmp_path / name / SERVICE.name
        unit.parent.mkdir()
        unit.write_text("\n".join(part.read_text() for part in parts))
        env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)}
        argv = ["systemd-analyze", "--user", "security", "--offline=true", "--no-pager", str(unit)]
        done = subprocess.run(argv, check=False, capture_output=True, text=True, env=env)
        figure = re.search(r"Overall exposure level for failover.service: ([\d.]+)", done.stdout)
        if figure is None:
            pytest.skip(f"systemd-analyze cannot judge a unit here: {done.stderr.strip()}")
        assert float(figure[1]) <= float(name) + 0.2, "other versions of systemd count a little differently"
        assert f"{name} with" in HARDENED.read_text().replace("\n# ", " ")


@pytest.mark.parametrize("manager", ["--user", "--system"])
def test_a_wrong_line_is_found(tmp_path: Path, units: Path, manager: str) -> None:
    """The tests above can fail, and drop-ins are read."""
    (units / "failover.service.d/system.conf").write_text("[Service]\nKillMode=no-such-mode\n")
    assert "no-such-mode" in verify(tmp_path, manager, SERVICE.name, units=units)


def test_the_service_hides_and_kills_nothing() -> None:
    """Each of these lines once hid the tmux socket or the credentials, or killed every session."""
    service = dict(settings(SERVICE))
    assert service["KillMode"] == "process"
    assert service["Type"] == "oneshot"
    assert service["UMask"] == "0077"
    assert service["SuccessExitStatus"] == "TEMPFAIL"
    assert service["StateDirectory"] == "failover"
    assert "TimeoutStartSec" in service
    assert not service.keys() & {"PrivateTmp", "ProtectHome", "ProtectSystem", "NoNewPrivileges", "PrivateUsers"}


def test_the_timer_counts_from_the_end_of_the_check() -> None:
    """A timer with OnBootSec= and OnUnitActiveSec= may never fire again after its restart."""
    assert settings(TIMER)[1:] == [
        ("OnActiveSec", "15s"),
        ("OnUnitInactiveSec", "30s"),
        ("AccuracySec", "1s"),
        ("WantedBy", "timers.target"),
    ]


@pytest.mark.parametrize("path", [SERVICE, TIMER, SYSTEM, HARDENED], ids=lambda p: p.name)
def test_each_line_has_its_reason_above(path: Path) -> None:
    """Assignments without a blank line between them share a comment; [Unit] and [Install] need none."""
    section, reason = "", False
    for line in path.read_text().splitlines():
        if line.startswith("["):
            section, reason = line, False
        elif not line or line.startswith("#"):
            reason = line.startswith("#")
        elif section in ("[Service]", "[Timer]"):
            assert reason, f"{line} has no reason"
