"""Counts and lists as people write them."""

from failover_oneshot.lib.plural import plural, up_to


def test_exactly_one_has_no_s() -> None:
    assert [plural(count, "session") for count in (0, 1, 2)] == ["0 sessions", "1 session", "2 sessions"]


def test_of_a_long_list_the_first_are_named_and_the_rest_counted() -> None:
    assert [up_to(2, ["a", "b", "c"][:count]) for count in range(4)] == ["", "a", "a, b", "a, b and 1 more"]
