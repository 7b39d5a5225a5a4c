"""A part of the kill matrix: some points of each scenario, over the whole check. `make kill-matrix` tries them all."""

import pytest
from kill_matrix import SCENARIOS, points_of, try_error, try_point

POINTS = 6


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_killed_anywhere_the_next_checks_finish_it_exactly_once(scenario: str) -> None:
    points = points_of(scenario)
    assert len(points) > 20
    first = SCENARIOS.index(scenario)  # another part of the check for each
    for point in range(5 + first, len(points), len(points) // POINTS):
        try_point(scenario, point)


@pytest.mark.parametrize(
    ("scenario", "error", "first"),
    [
        ("claude-recreate", "ENOSPC", 3),
        ("claude-recreate", "EROFS", 9),
        ("files-recreate", "EIO", 6),
        ("env-respawn", "EACCES", 4),
    ],
)
def test_a_disk_that_fails_from_any_point_on_loses_nothing(scenario: str, error: str, first: int) -> None:
    points = points_of(scenario)
    for point in range(first, len(points), len(points) // POINTS):
        try_error(scenario, point, error)
