"""A part of the dispatch matrix, spread over the whole check; `verification/dispatch_matrix.py` tries all points."""

import pytest

from verification.dispatch_matrix import points_of, try_point


@pytest.mark.parametrize(("records", "first"), [(True, 47), (False, 52)])
def test_killed_anywhere_each_task_is_taken_once_and_done(records: bool, first: int) -> None:
    points = points_of(records=records)
    assert len(points) > first
    for point in range(first, len(points), 16):
        try_point(point, records=records)


def test_a_disk_that_fails_loses_no_task() -> None:
    for point in (15, 31, 52):
        try_point(f"{point}:ENOSPC", records=True)
