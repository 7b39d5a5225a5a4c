"""Fingerprints recognize a secret without revealing it (law L4)."""

import os


def made(secret: str | bytes) -> str:
    """A new fingerprint of the secret, `salt:digest`; each one has another salt."""
    return _digest(secret, os.urandom(8).hex())


def fits(mark: str, secret: str | bytes) -> bool:
    """Whether the fingerprint was made from this secret."""
    return _digest(secret, mark.partition(":")[0]) == mark


def _digest(secret: str | bytes, salt: str) -> str:
    from hashlib import sha256

    data = secret if isinstance(secret, bytes) else secret.encode(errors="surrogatepass")
    return f"{salt}:{sha256(salt.encode() + b':' + data).hexdigest()[:32]}"
