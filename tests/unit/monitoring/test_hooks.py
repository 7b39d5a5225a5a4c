"""Which hook runs for a report."""

import pytest

from failover_oneshot.config.model import Hooks
from failover_oneshot.model import Outcome
from failover_oneshot.monitoring.hooks import due
from failover_oneshot.report import Report
from tests.support.builders import NOW

HOOKS = Hooks(on_swap=("swapped.sh",), on_waiting=("waiting.sh", "x"), on_failure=("failed.sh",))


def called(outcome: Outcome, before: Outcome | None, hooks: Hooks = HOOKS) -> tuple[str, tuple[str, ...]] | None:
    return due(hooks, Report(outcome=outcome, summary="because", reason="because", dry_run=False, at=NOW), before)


@pytest.mark.parametrize(
    ("outcome", "before", "expected"),
    [
        (Outcome.SWAPPED, Outcome.OK, ("on_swap", ("swapped.sh",))),
        (Outcome.SWAPPED, Outcome.SWAPPED, ("on_swap", ("swapped.sh",))),
        (Outcome.WAITING, None, ("on_waiting", ("waiting.sh", "x"))),
        (Outcome.WAITING, Outcome.FAILED, ("on_waiting", ("waiting.sh", "x"))),
        (Outcome.WAITING, Outcome.WAITING, None),
        (Outcome.FAILED, Outcome.OK, ("on_failure", ("failed.sh",))),
        (Outcome.FAILED, Outcome.FAILED, None),
        (Outcome.OK, Outcome.SWAPPED, None),
        (Outcome.COOLDOWN, Outcome.SWAPPED, None),
    ],
)
def test_on_swap_runs_for_every_swap_and_the_others_once_per_situation(
    outcome: Outcome, before: Outcome | None, expected: tuple[str, tuple[str, ...]] | None
) -> None:
    assert called(outcome, before) == expected


@pytest.mark.parametrize("outcome", [Outcome.SWAPPED, Outcome.WAITING, Outcome.FAILED])
def test_a_hook_without_a_program_does_not_run(outcome: Outcome) -> None:
    assert called(outcome, Outcome.OK, Hooks()) is None
