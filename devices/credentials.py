"""Passwords of devices at the broker, and how mosquitto 2 wants them hashed.

Refuses to know where they are kept; the plain password leaves this module once and is never stored.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from typing import Final

_SALT_BYTES: Final = 12
_ITERATIONS: Final = 101
"""As `mosquitto_passwd` 2.0 does. Ours are 24 random bytes, which no count of iterations improves;
the broker pays for them at each of thousands of connections after a power cut."""

ENROLMENT_ACCOUNT: Final = "enrolment"
"""Broker account that all devices share which ask to be admitted; no device may have its name."""

MOST_ITERATIONS: Final = 1000
"""Of a hash that a device brings: the broker counts them all, in its one thread, at each login."""

_HASH: Final = re.compile(r"\$7\$([0-9]{3,4})\$([A-Za-z0-9+/]{16})\$([A-Za-z0-9+/]{86}==)")


def new_password() -> str:
    """A password of 192 random bits in 32 characters of A-Z a-z 0-9 _ -."""
    return secrets.token_urlsafe(24)


def mosquitto_password_line(user: str, password: str, *, iterations: int = _ITERATIONS) -> str:
    """A line of mosquitto's password file: ``user:$7$iterations$salt$PBKDF2-HMAC-SHA512``.

    Raises ValueError for a user that would break the file's format.
    """
    salt = secrets.token_bytes(_SALT_BYTES)
    return f"{_checked_user(user)}:{_hashed(password, salt, iterations)}"


def is_password_hash(text: str) -> bool:
    """Whether ``text`` may stand in mosquitto's password file: exactly the form that we make.

    It may come from a stranger, so there is no room for another line, another field, or a count of
    iterations that would keep the broker busy.
    """
    found = _HASH.fullmatch(text)
    if found is None:
        return False
    iterations, salt, digest = found.groups()
    return (
        _ITERATIONS <= int(iterations) <= MOST_ITERATIONS
        and _is_canonical(salt)
        and _is_canonical(digest)
    )


def password_line_of_hash(user: str, password_hash: str) -> str:
    """A line of the password file for a hash that `is_password_hash`; raises ValueError else."""
    if not is_password_hash(password_hash):
        raise ValueError("no hash of mosquitto's ($7$iterations$salt$digest)")
    return f"{_checked_user(user)}:{password_hash}"


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


def _checked_user(user: str) -> str:
    if not user or ":" in user or not user.isprintable() or user != user.strip():
        raise ValueError(f"user {user!r}: printable characters without colon expected")
    return user


def _is_canonical(encoded: str) -> bool:
    """Whether base64 says the same when it is read and written again: no stray bits at its end."""
    return base64.b64encode(base64.b64decode(encoded)).decode() == encoded
