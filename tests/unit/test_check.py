"""Where a check keeps its state."""

import pytest

from failover_oneshot.check import state_path
from failover_oneshot.config.model import Config, StateFile

EVERYTHING = {"HOME": "/home/me", "STATE_DIRECTORY": "/var/lib/a:/var/lib/b", "XDG_STATE_HOME": "/states"}


@pytest.mark.parametrize(
    ("explicit", "configured", "environ", "expected"),
    [
        ("/by/flag", "/by/config", EVERYTHING, "/by/flag"),
        (None, "/by/config", EVERYTHING, "/by/config"),
        (None, None, EVERYTHING, "/var/lib/a/state.json"),
        (None, None, {"HOME": "/home/me", "XDG_STATE_HOME": "/states"}, "/states/failover/state.json"),
        (None, None, {"HOME": "/home/me", "XDG_STATE_HOME": "states"}, "/home/me/.local/state/failover/state.json"),
        (None, None, {"HOME": "/home/me"}, "/home/me/.local/state/failover/state.json"),
        (None, None, {}, "/.local/state/failover/state.json"),
    ],
)
def test_the_state_is_where_the_first_of_these_says(
    explicit: str | None, configured: str | None, environ: dict[str, str], expected: str
) -> None:
    assert str(state_path(explicit, Config(state=StateFile(path=configured)), environ)) == expected


def test_a_relative_flag_begins_where_the_check_was_started() -> None:
    assert state_path("s.json", Config(), EVERYTHING).is_absolute()
