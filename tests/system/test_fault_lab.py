"""The fault lab itself: sequences that once broke a law or the model, and that the laws can be broken at all."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.tmux_server import Server
from verification.world import NEIGHBOURS, ViolationError, World

Steps = list[tuple[str, dict[str, Any]]]


@pytest.fixture
def world(server: Server, tmp_path: Path) -> World:
    return World(server, tmp_path)


def hits(*sessions: str, minutes: int | None = 120) -> Steps:
    return [("hit", {"session": name, "minutes": minutes}) for name in sessions]


BLOCKED = hits("ccl-auto-11", "ccl-auto-12")
SEQUENCES: dict[str, Steps] = {
    # The disk fills up when all that is left to write is the note of the check: the swap stands, the exit is 74.
    "a full disk at the very end": [("mode", {"after_swap": "none"}), *BLOCKED,
        ("disk", {"point": 100, "error": "ENOSPC"}), ("check", {})],
    "killed in the swap, refreshed, and finished by a crowd": [*BLOCKED, ("killed", {"point": 60}), ("refresh", {}),
        ("crowd", {"size": 3}), ("check", {})],
    "three accounts used up one after the other, then one is free again": [
        *BLOCKED, ("check", {}), ("later", {"minutes": 11}), *BLOCKED, ("check", {}), ("later", {"minutes": 11}),
        *BLOCKED, ("check", {}), ("dry_run", {}), ("later", {"minutes": 130}), ("check", {})],
    "both copies of the state lost in the middle of a swap": [*BLOCKED, ("killed", {"point": 70}),
        ("corrupt", {"which": "both", "how": "half"}), ("check", {}), ("check", {})],
    "a hung server, and a clock that goes back": [*BLOCKED, ("hung", {}), ("check", {}), ("later", {"minutes": -1500}),
        ("heal", {"session": "ccl-auto-11"}), *hits("ops"), ("check", {})],
}  # fmt: skip


@pytest.mark.parametrize("steps", SEQUENCES.values(), ids=SEQUENCES)
def test_the_laws_hold(world: World, steps: Steps) -> None:
    for name, arguments in steps:
        world.step(name, **arguments)
    assert sum(world.outcomes.values()) >= 2


def kill_a_neighbour(world: World) -> None:
    world.server.tmux("respawn-pane", "-k", "-t", f"={NEIGHBOURS[0]}:")


def start_what_nobody_asked_for(world: World) -> None:
    world.server.start("ccl-auto-1100")


def lose_a_login(world: World) -> None:
    (world.sandbox.stored("third") / ".credentials.json").unlink()


def publish_a_login(world: World) -> None:
    (world.sandbox.stored("third") / ".credentials.json").chmod(0o644)


def write_a_secret_down(world: World) -> None:
    world.sandbox.set_state(note="fake-main-2")


@pytest.mark.parametrize(
    ("harm", "broken"),
    [
        (kill_a_neighbour, "L1"),
        (start_what_nobody_asked_for, "L1"),
        (lose_a_login, "L2"),
        (publish_a_login, "L4"),
        (write_a_secret_down, "L4"),
    ],
)
def test_a_broken_law_is_seen(world: World, harm: Callable[[World], None], broken: str) -> None:
    world.step("check")
    harm(world)
    with pytest.raises(ViolationError, match=broken):
        world.step("soon")


def test_a_swap_that_should_not_be_is_seen(world: World) -> None:
    """Law L3: the same hits again, because somebody told the program that they are new, and that it never swapped."""
    for name, arguments in [*BLOCKED, ("check", {})]:
        world.step(name, **arguments)
    assert world.outcomes["swapped"] == 1
    world.sandbox.set_state(last_swap=None, sessions={}, history=[])
    with pytest.raises(ViolationError, match="L3"):
        world.step("check")
