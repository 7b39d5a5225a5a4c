"""What a check would decide if sessions showed a text."""

import pytest

from failover_oneshot.agents.claude.classify import classify
from failover_oneshot.analysis.explain import consequence, in_words
from tests.support.builders import NOW, make_config


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("You've hit your session limit · resets 11am (UTC)", "the check's outcome is swapped"),
        ("You've hit your session limit · resets 9:30am (UTC)", "not counted: expired at 09:30Z"),
        ("You've hit your session limit · resets 10:01am (UTC)", "within quota.patience"),
        ("You've hit your limit", "the first check only suspects a hit; the next check's outcome is swapped"),
        ("OAuth token revoked · Please run /login", "not in quota.swap_on"),
        ("API Error: 529 Overloaded", "checks do not swap for it"),
        ("all is well", "not blocked (ok)"),
    ],
)
@pytest.mark.parametrize("accounts", [(), ("main", "backup")])
def test_the_consequence_of_a_text(text: str, words: str, accounts: tuple[str, ...]) -> None:
    config = make_config(accounts)
    assert words in in_words(consequence(config, classify(text, "", config.quota), NOW, "UTC"))
