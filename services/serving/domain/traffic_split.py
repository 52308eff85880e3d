"""Assigns keys to arms. A key keeps its arm while a release lives; a growing share only adds keys to the challenger."""

from __future__ import annotations

from hashlib import blake2b

_WHOLE = 1 << 64


def position(key: str, salt: str) -> float:
    """Map a key to [0, 1): 64 bits of BLAKE2b (RFC 7693) of ``<salt>:<key>``; the salt is the challenger's id."""
    digest = blake2b(f"{salt}:{key}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / _WHOLE


def is_challenger(key: str, salt: str, share: float) -> bool:
    """Return whether the challenger answers a key; ``share`` is in [0, 1]."""
    return share > 0.0 and position(key, salt) < share
