"""The journal of a swap: its transitions as values."""

from failover_oneshot.swap.journal import RULES
from tests.support.paths import ROOT


def test_the_page_of_the_rules_has_every_step_with_its_rule() -> None:
    page = " ".join((ROOT / "docs/swap.md").read_text(encoding="utf-8").split())
    for step, rule in RULES.items():
        assert f"| `{step}` |" in page
        assert rule in page
