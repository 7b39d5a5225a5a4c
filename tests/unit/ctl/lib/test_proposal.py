"""The configuration that `init` proposes for the running sessions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failover_oneshot.config import schema
from failover_oneshot.ctl.lib import proposal
from failover_oneshot.ctl.lib.proposal import AmbiguousError, ProposalFacts, RunningSession, propose, render


def running(*names: str, agent: bool = True, start_known: bool = True) -> list[RunningSession]:
    return [RunningSession(name=name, agent=agent, start_known=start_known) for name in names]


def test_the_pool_is_the_group_with_a_name_such_as_auto() -> None:
    """Ten manual sessions run beside ten of the pool; they must stay outside it."""
    manual = running(*(f"ccl-{i}" for i in range(10)))
    found = propose([*manual, *running(*(f"ccl-auto-{i}" for i in range(11, 21)), "ops")])
    assert (found.prefix, found.indices, found.dedicated) == ("ccl-auto-", tuple(range(11, 21)), ("ops",))
    assert found.notes == ("not watched: ccl-N (10 sessions)",)


def test_several_possible_pools_are_an_error_until_one_is_chosen() -> None:
    with pytest.raises(AmbiguousError, match=r"'dev-' \(2 sessions\), 'rev-' \(1 session\)"):
        propose(running("dev-1", "dev-2", "rev-1"))
    assert propose(running("dev-1", "dev-2", "rev-1"), "rev-").indices == (1,)


def test_sessions_without_an_agent_are_not_a_pool() -> None:
    found = propose(running("build-1", "build-2", "logs", agent=False))
    assert (found.prefix, found.indices, found.dedicated) == (None, (), ())


def test_a_pool_session_without_an_agent_is_noted() -> None:
    found = propose([*running("ccl-auto-1", "ccl-auto-3"), *running("ccl-auto-2", agent=False)])
    assert (found.indices, "no agent found in ccl-auto-2;" in found.notes[0]) == ((1, 2, 3), True)


def test_an_index_with_a_leading_zero_does_not_count() -> None:
    """`ccl-auto-011` is not index 11 of the range."""
    assert propose(running("ccl-auto-011", "ccl-auto-12")).indices == (12,)


@pytest.mark.parametrize(
    ("command", "known"),
    [("claude --model opus", True), ("exec claude", True), ("", False), ("zsh", False), ("exec /bin/bash", False)],
)
def test_a_shell_does_not_count_as_a_start_command(command: str, known: bool) -> None:
    assert proposal.restartable(command) is known


name = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20)


@given(st.lists(name, max_size=6), name, name)
def test_any_name_survives_the_generated_yaml(names: list[str], account: str, path: str) -> None:
    """The text parses as YAML and gives the same names back."""
    try:
        found = propose(running(*names))
    except AmbiguousError:
        return
    text = render(
        ProposalFacts(proposal=found, accounts=((account, path, path),), tmux={"binary": path}), schema.sentences()
    )
    import yaml

    value = yaml.safe_load(text)
    assert value["accounts"] == [{"name": account, "store": path}]
    assert value["pool"]["autonomous"]["prefix"] == ("ccl-auto-" if found.prefix is None else found.prefix)
    assert [d["name"] for d in value["pool"]["dedicated"]] == list(found.dedicated)
