"""Passwords of devices at the broker, and how mosquitto 2 wants them hashed.

Refuses to know where they are kept; the plain password leaves this module once and is never stored.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from typing import Final

_SALT_BYTES: Final = 12
_ITERATIONS: Final = 101
"""As `mosquitto_passwd` 2.0 does. Ours are 24 random bytes, which no count of iterations improves;
the broker pays for them at each of thousands of connections after a power cut."""


def new_password() -> str:
    """A password of 192 random bits in 32 characters of A-Z a-z 0-9 _ -."""
    return secrets.token_urlsafe(24)


def mosquitto_password_line(user: str, password: str, *, iterations: int = _ITERATIONS) -> str:
    """A line of mosquitto's password file: ``user:$7$iterations$salt$PBKDF2-HMAC-SHA512``.

    Raises ValueError for a user that would break the file's format.
    """
    if not user or ":" in user or not user.isprintable() or user != user.strip():
        raise ValueError(f"user {user!r}: printable characters without colon expected")
    salt = secrets.token_bytes(_SALT_BYTES)
    return f"{user}:{_hashed(password, salt, iterations)}"


def is_password(line: str, password: str) -> bool:
    """Whether ``line`` (as `mosquitto_password_line` makes it) is for this password."""
    _, _, expected = line.rpartition(":")
    _, version, iterations, salt, _ = expected.split("$")
    if version != "7":
        raise ValueError(f"hash type {version!r}: 7 (PBKDF2-SHA512) expected")
    actual = _hashed(password, base64.b64decode(salt), int(iterations))
    return hmac.compare_digest(actual, expected)


def _hashed(password: str, salt: bytes, iterations: int) -> str:
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, iterations)
    encoded = (base64.b64encode(part).decode() for part in (salt, digest))
    return "$".join(("", "7", str(iterations), *encoded))
