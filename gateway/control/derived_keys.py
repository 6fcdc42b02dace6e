"""One key for each purpose, all from the server's secret (HKDF-SHA256, RFC 5869): who learns one learns no other."""

from __future__ import annotations

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


def derived_key(secret: bytes, purpose: str, size: int = 32) -> bytes:
    """`size` bytes that nobody can tell without `secret`. The same secret and purpose give the same key everywhere.

    It does not make a weak secret strong: settings refuse those.
    """
    return HKDF(algorithm=SHA256(), length=size, salt=None, info=f"axonstream {purpose}".encode()).derive(secret)
