"""The fault lab itself: sequences that once broke a law or the model, and proofs that each law can fail."""

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
    # The disk fills up when only the record of the check is left to write: the swap is made, the exit code is 74.
    "a full disk at the very end": [("mode", {"after_swap": "none"}), *BLOCKED,
        ("disk", {"point": 100, "error": "ENOSPC"}), ("check", {})],
    "killed in the swap, refreshed, and finished by a crowd": [*BLOCKED, ("killed", {"point": 60}), ("refresh", {}),
        ("crowd", {"size": 3}), ("check", {})],
    "three accounts exhausted one after the other, then one is free again": [
        *BLOCKED, ("check", {}), ("later", {"minutes": 11}), *BLOCKED, ("check", {}), ("later", {"minutes": 11}),
        *BLOCKED, ("check", {}), ("dry_run", {}), ("later", {"minutes": 130}), ("check", {})],
    "both copies of the state lost in the middle of a swap": [*BLOCKED, ("killed", {"point": 70}),
        ("corrupt", {"which": "both", "how": "half"}), ("check", {}), ("check", {})],
    "a hung server, and a clock that goes back": [*BLOCKED, ("hung", {}), ("check", {}), ("later", {"minutes": -1500}),
        ("heal", {"session": "ccl-auto-11"}), *hits("ops"), ("check", {})],
    "three checks at once whose lock file is removed again and again": [*BLOCKED, ("lost_lock", {"pause": 20}),
        ("lost_lock", {"pause": 100}), ("lost_lock", {"pause": 300}), ("check", {}), ("check", {})],
}  # fmt: skip


@pytest.mark.parametrize("steps", SEQUENCES.values(), ids=SEQUENCES)
def test_the_laws_hold(world: World, steps: Steps) -> None:
    for name, arguments in steps:
        world.step(name, **arguments)
    assert sum(world.outcomes.values()) >= 2


def kill_a_neighbor(world: World) -> None:
    world.server.tmux("respawn-pane", "-k", "-t", f"={NEIGHBOURS[0]}:")


def start_an_unexpected_session(world: World) -> None:
    world.server.start("ccl-auto-1100")


def lose_credentials(world: World) -> None:
    (world.sandbox.stored("third") / ".credentials.json").unlink()


def publish_credentials(world: World) -> None:
    (world.sandbox.stored("third") / ".credentials.json").chmod(0o644)


def write_a_secret_to_the_state(world: World) -> None:
    world.sandbox.set_state(note="fake-main-2")


@pytest.mark.parametrize(
    ("harm", "broken"),
    [
        (kill_a_neighbor, "L1"),
        (start_an_unexpected_session, "L1"),
        (lose_credentials, "L2"),
        (publish_credentials, "L4"),
        (write_a_secret_to_the_state, "L4"),
    ],
)
def test_a_broken_law_is_found(world: World, harm: Callable[[World], None], broken: str) -> None:
    world.step("check")
    harm(world)
    with pytest.raises(ViolationError, match=broken):
        world.step("soon")


def test_a_swap_without_a_reason_is_found(world: World) -> None:
    """Law L3: the program swaps on handled hits, because the test removes them and the last swap from the state."""
    for name, arguments in [*BLOCKED, ("check", {})]:
        world.step(name, **arguments)
    assert world.outcomes["swapped"] == 1
    world.sandbox.set_state(last_swap=None, sessions={}, history=[])
    with pytest.raises(ViolationError, match="L3"):
        world.step("check")
