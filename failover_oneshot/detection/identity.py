"""Makes and compares the identities by which a hit is recognized in later checks. Pure.

The identity from a screen never equals the identity from a record; a caller that has both compares their times.
"""


def screen_identity(what: str, prompt: str) -> str:
    """The identity of a hit on a screen. ``what`` is its reset, else its text; ``prompt`` began its turn.

    The reset is used because the conversation, the status area and a menu word the same hit differently. Both texts
    are normalized; an empty prompt has scrolled off.
    """
    return f"screen:{_hash(what)}:{_hash(prompt) if prompt else '-'}"


def record_identity(record: str) -> str:
    """The identity of a hit in the agent's records, from the ``uuid`` of its record."""
    return f"transcript:{record}"


def same_hit(a: str, b: str) -> bool:
    """Whether two identities mean the same hit. In doubt yes: only another reset or prompt proves another hit."""
    if a == b:
        return True
    one, other = a.split(":"), b.split(":")
    if len(one) != 3 or len(other) != 3 or {one[0], other[0]} != {"screen"}:
        return False
    return one[1] == other[1] and ("-" in {one[2], other[2]} or one[2] == other[2])


def _hash(text: str) -> str:
    from hashlib import sha256

    return sha256(text.encode("utf-8", "replace")).hexdigest()[:12]
