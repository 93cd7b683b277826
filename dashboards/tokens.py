"""Tokens and passwords as values: made, hashed, compared.

Refuses to know tables and requests.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

_hasher: Final = PasswordHasher()  # argon2id, RFC 9106's low-memory profile
_NOBODYS_HASH: Final = _hasher.hash(secrets.token_urlsafe(32))
MAX_PASSWORD_CHARS: Final = 200
MIN_PASSWORD_CHARS: Final = 10


def new_token() -> str:
    """256 random bits, safe in an URL and a cookie."""
    return secrets.token_urlsafe(32)


def token_hash(token: str) -> str:
    """SHA-256 in hex; what a table keeps of a token."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def password_hash(password: str) -> str:
    """An argon2id hash with its own salt. About 50 ms and 64 MiB."""
    return _hasher.hash(password)


def is_password(password: str, stored: str | None) -> bool:
    """Whether the password fits the hash; takes as long without a stored hash as with one."""
    try:
        is_right = _hasher.verify(stored or _NOBODYS_HASH, password)
    except (VerificationError, InvalidHashError):
        return False
    return is_right and stored is not None
