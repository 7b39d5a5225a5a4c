"""YAML text becomes plain values, each with its place in the file."""

from failover_oneshot.config import yaml_source


def test_keys_and_values_have_their_places_in_the_file() -> None:
    tree = yaml_source.parse(b"a:\n  b: [x, 1]\n  c:\n")
    assert tree.data == {"a": {"b": ["x", 1], "c": None}}
    assert {path: (place.key, place.value) for path, place in tree.places.items()} == {
        (): ((1, 1), (1, 1)),
        ("a",): ((1, 1), (2, 3)),
        ("a", "b"): ((2, 3), (2, 6)),
        ("a", "b", 0): ((2, 7), (2, 7)),
        ("a", "b", 1): ((2, 10), (2, 10)),
        ("a", "c"): ((3, 3), (3, 3)),
    }
