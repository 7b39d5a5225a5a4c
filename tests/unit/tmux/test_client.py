"""Which session names are in the range."""

import pytest

from failover_oneshot.config.model import Autonomous
from failover_oneshot.tmux.client import index_in_range


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("ccl-auto-11", 11),
        ("ccl-auto-20", 20),
        ("ccl-auto-10", None),
        ("ccl-auto-21", None),
        ("ccl-auto-1", None),
        ("ccl-auto-110", None),
        ("ccl-auto-011", None),
        ("ccl-auto-11 ", None),
        ("ccl-auto-11\n", None),
        ("ccl-auto-１１", None),
        ("ccl-auto-²", None),
        ("ccl-auto--11", None),
        ("ccl-auto-+11", None),
        ("ccl-auto-1_1", None),
        ("ccl-auto-", None),
        ("ccl-auto0", None),
        ("ccl-0", None),
        ("Ccl-auto-11", None),
        ("ccl-auto-" + "1" * 5000, None),
    ],
)
def test_the_range_holds_exact_names_only(name: str, index: int | None) -> None:
    assert index_in_range(Autonomous(start_index=11, max=10), name) == index
