"""The fault lab itself: sequences that once broke a law or the model, and proofs that each law can fail."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.tmux_server import Server
from verification.credential_model import ViolationError
from verification.credential_world import LINKS, LOCKS, CredentialWorld
from verification.world import NEIGHBOURS

Steps = list[tuple[str, dict[str, Any]]]


@pytest.fixture
def world(server: Server, tmp_path: Path) -> CredentialWorld:
    return CredentialWorld(server, tmp_path)


def hits(*sessions: str, minutes: int | None = 120) -> Steps:
    return [("hit", {"session": name, "minutes": minutes}) for name in sessions]


BLOCKED = hits("ccl-auto-11", "ccl-auto-12")
CHECK: Steps = [("check", {})]
AGAIN: Steps = [("later", {"minutes": 11}), *BLOCKED, *CHECK]  # hits after the cooldown
NAMED: Steps = [("installation", {"method": "claude", "uuid": True})]
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
    "an old identity written back, and tokens refreshed": [*BLOCKED, *CHECK, ("revert_identity", {"refresh": True}),
        *AGAIN, *AGAIN],
    "the same with credentials that name their account": [*NAMED, *BLOCKED, *CHECK,
        ("revert_identity", {"refresh": True}), *AGAIN, *AGAIN],
    "an old identity written back late in the swap": [*BLOCKED, ("meanwhile", {"point": 108, "act": "revert"}),
        ("refresh", {}), *AGAIN],
    "a log-in by hand whose identity is undone": [*NAMED, *BLOCKED, *CHECK,
        ("log_in", {"account": "third", "uuid": True}), ("revert_identity", {"refresh": False}), *AGAIN],
    "a log-in by hand that nothing proves": [*BLOCKED, *CHECK, ("log_in", {"account": "third", "uuid": False}), *AGAIN,
        ("assign", {}), *AGAIN],
    "a log-in by hand over refreshed tokens": [*BLOCKED, *CHECK, ("refresh", {}),
        ("log_in", {"account": "main", "uuid": True}), *AGAIN],
    "tokens that the agent blanked": [*BLOCKED, ("blanked", {}), *CHECK, ("later", {"minutes": 130}), *BLOCKED, *CHECK,
        *AGAIN],
    "tokens that the agent blanked in a healthy hour": [("blanked", {}), *CHECK, *BLOCKED, *CHECK,
        ("later", {"minutes": 130}), *BLOCKED, *CHECK, *AGAIN],
    "a lost state, and linked files at the next check": [*BLOCKED, *CHECK,
        ("corrupt", {"which": "both", "how": "empty"}), ("linked", {"layout": "live to store"}),
        ("later", {"minutes": 11}), *CHECK],
    **{f"live and stored credentials linked: {layout}": [*BLOCKED, ("linked", {"layout": layout}), *CHECK]
        for layout in LINKS},
    **{f"a bind mount of the {which}": [*BLOCKED, ("bind_mounted", {"which": which}), *CHECK]
        for which in ("credentials", "settings", "store")},
    **{f"a lock that nobody holds: {LOCKS[which]}, {seconds} s": [*BLOCKED,
        ("locked_by_a_stranger", {"which": which, "seconds": seconds}), *CHECK]
        for which, seconds in ((0, -3600), (1, 3600), (2, -3600))},
}  # fmt: skip


@pytest.mark.parametrize("steps", SEQUENCES.values(), ids=SEQUENCES)
def test_the_laws_hold(world: CredentialWorld, steps: Steps) -> None:
    for name, arguments in steps:
        world.step(name, **arguments)
    assert sum(world.outcomes.values()) >= 2


@pytest.mark.parametrize("which", ["credentials", "settings"])
@pytest.mark.parametrize("milliseconds", [None, 300])
def test_a_half_written_file_delays_a_swap_by_one_check(
    world: CredentialWorld, which: str, milliseconds: int | None
) -> None:
    for name, arguments in [*BLOCKED, ("half_written", {"which": which, "milliseconds": milliseconds}), *CHECK]:
        world.step(name, **arguments)
    assert world.outcomes["swapped"] == 1


def kill_a_neighbor(world: CredentialWorld) -> None:
    world.server.tmux("respawn-pane", "-k", "-t", f"={NEIGHBOURS[0]}:")


def start_an_unexpected_session(world: CredentialWorld) -> None:
    world.server.start("ccl-auto-1100")


def lose_credentials(world: CredentialWorld) -> None:
    (world.sandbox.stored("third") / ".credentials.json").unlink()


def store_credentials_of_another_account(world: CredentialWorld) -> None:
    (world.sandbox.stored("third") / "kept").write_bytes(world.sandbox.live_credentials.read_bytes())
    (world.sandbox.stored("third") / "kept").chmod(0o600)


def share_the_only_copy(world: CredentialWorld) -> None:
    os.link(world.sandbox.live_credentials, world.sandbox.stored("main") / "kept")


def install_used_up_credentials(world: CredentialWorld) -> None:
    live, stored = world.sandbox.live_credentials, world.sandbox.stored("main") / ".credentials.json"
    old = stored.read_bytes()
    stored.write_bytes(live.read_bytes())
    live.write_bytes(old)


def publish_credentials(world: CredentialWorld) -> None:
    (world.sandbox.stored("third") / ".credentials.json").chmod(0o644)


def write_a_secret_to_the_state(world: CredentialWorld) -> None:
    world.sandbox.set_state(note="fake-main-2")


@pytest.mark.parametrize(
    ("harm", "broken"),
    [
        (kill_a_neighbor, "L1"),
        (start_an_unexpected_session, "L1"),
        (lose_credentials, "L2"),
        (store_credentials_of_another_account, "L2.*which is third's"),
        (share_the_only_copy, "L2.*no file of their own"),
        (install_used_up_credentials, "L2.*used up"),
        (publish_credentials, "L4"),
        (write_a_secret_to_the_state, "L4"),
    ],
)
def test_a_broken_law_is_found(world: CredentialWorld, harm: Callable[[CredentialWorld], None], broken: str) -> None:
    world.step("check")
    harm(world)
    with pytest.raises(ViolationError, match=broken):
        world.step("soon")


def test_a_swap_without_a_reason_is_found(world: CredentialWorld) -> None:
    """Law L3: the program swaps on handled hits, because the test removes them and the last swap from the state."""
    for name, arguments in [*BLOCKED, ("check", {})]:
        world.step(name, **arguments)
    assert world.outcomes["swapped"] == 1
    world.sandbox.set_state(last_swap=None, sessions={}, history=[])
    with pytest.raises(ViolationError, match="L3"):
        world.step("check")
