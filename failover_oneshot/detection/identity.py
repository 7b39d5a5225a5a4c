"""What a hit is known by when it is seen again. Pure.

A screen's identity and a record's are never the same; whoever has both compares their times.
"""


def screen_identity(what: str, prompt: str) -> str:
    """The identity of a hit on a screen: its reset, else its words, and the prompt that began its turn.

    The same hit is worded differently in the conversation, in the status area and in a menu; its reset is not. Both
    texts come normalised; an empty prompt has scrolled off.
    """
    return f"screen:{_hash(what)}:{_hash(prompt) if prompt else '-'}"


def record_identity(record: str) -> str:
    """The identity of a hit in an agent's records: the name of its record."""
    return f"transcript:{record}"


def same_hit(a: str, b: str) -> bool:
    """Whether two identities are of one hit. In doubt yes: only another reset or another prompt proves another hit."""
    if a == b:
        return True
    one, other = a.split(":"), b.split(":")
    if len(one) != 3 or len(other) != 3 or {one[0], other[0]} != {"screen"}:
        return False
    return one[1] == other[1] and ("-" in {one[2], other[2]} or one[2] == other[2])


def _hash(text: str) -> str:
    from hashlib import sha256

    return sha256(text.encode("utf-8", "replace")).hexdigest()[:12]
