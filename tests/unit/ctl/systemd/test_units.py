"""The user units that `install` writes, with the machine's paths."""

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failover_oneshot.ctl.systemd import programs, units
from failover_oneshot.ctl.systemd.units import SERVICE, TIMER, UnitSettings, render
from tests.support.paths import DEPLOY


def test_the_machines_paths_are_filled_in() -> None:
    place = UnitSettings(
        home="/home/me",
        command=["/home/me/.local/bin/failover-check", "--config", "/srv/a b%c/$x.yaml"],
        folders=["/opt/tmux/bin"],
        tmux_tmpdir="/run/user/1000",
        interval=90.5,
    )
    service = render(SERVICE, programs.template(SERVICE), place)
    assert '\nExecStart=%h/.local/bin/failover-check --config "/srv/a b%%c/$$x.yaml"\n' in service
    assert "\nEnvironment=PATH=/opt/tmux/bin:%h/.local/bin:/usr/local/bin:/usr/bin:/bin\n" in service
    assert "\nEnvironment=TMUX_TMPDIR=/run/user/1000\n" in service
    assert "\nOnUnitInactiveSec=90500ms\n" in render(TIMER, programs.template(TIMER), place)


def test_with_the_defaults_the_shipped_units_are_installed() -> None:
    """Below a heading that says who wrote the file."""
    place = UnitSettings(home="/home/me", command=["/home/me/.local/bin/failover-check"])
    for name in (SERVICE, TIMER):
        shipped = (DEPLOY / name).read_text()
        assert render(name, shipped, place).endswith(f"\n{shipped}")
        assert units.is_ours(render(name, shipped, place), shipped)


def test_a_unit_written_by_an_earlier_version_is_ours() -> None:
    old = "# Written by `failoverctl install`, which writes it anew: changes belong into a drop-in,\n[Service]\n"
    assert units.is_ours(old, programs.template(SERVICE))
    assert not units.is_ours("[Service]\n", programs.template(SERVICE))


def test_a_shipped_unit_that_lacks_a_line_is_refused() -> None:
    with pytest.raises(ValueError, match="ExecStart"):
        render(SERVICE, "[Service]\n", UnitSettings(home="/", command=["/bin/true"]))


@pytest.mark.parametrize(
    ("span", "expected"),
    [("30s", 30), ("1min 30s", 90), ("500ms", 0.5), ("1h 2min 3s", 3723), ("infinity", None), ("", None), ("1x", None)],
)
def test_time_spans_of_systemctl(span: str, expected: float | None) -> None:
    assert units.seconds(span) == expected


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=40))
def test_any_path_stays_one_word_of_one_line(path: str) -> None:
    """A path cannot start a new line of the unit, a specifier or a variable."""
    place = UnitSettings(home="/home/me", command=["/bin/check", "--config", path])
    service = render(SERVICE, programs.template(SERVICE), place)
    [line] = [line for line in service.split("\n") if line.startswith("ExecStart=")]
    words = shlex.split(line.removeprefix("ExecStart=").replace("%%", "%").replace("$$", "$"), comments=False)
    assert words == ["/bin/check", "--config", path]
    assert len(service.split("\n")) == len(programs.template(SERVICE).split("\n")) + 3
