"""A small soak test; `make soak` runs the large one."""

from verification.soak import soak


def test_every_task_is_done_exactly_once_whatever_is_killed() -> None:
    numbers = soak(seed=3, size=4, count=16, swaps=1, seconds=300)
    assert (numbers["tasks"], numbers["swaps"]) == (16, 1)
