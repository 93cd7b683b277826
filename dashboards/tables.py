"""Tables that the web process alone writes: who may come in, and what people did.

All times are int64 ms UTC. Tokens are kept as SHA-256 of 256 random bits (they cannot be guessed,
so a slow hash gains nothing); passwords as argon2id. People themselves: ``alerts.tables.person``.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, Table, Text

from devices.database import metadata

_Sequence = BigInteger().with_variant(Integer, "sqlite")

session = Table(
    "session",
    metadata,
    Column("token_hash", Text, primary_key=True),
    Column("person", Integer, ForeignKey("person.id"), nullable=False, index=True),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
)

login_token = Table(
    "login_token",
    metadata,
    Column("token_hash", Text, primary_key=True),
    Column("person", Integer, ForeignKey("person.id"), nullable=False, index=True),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("used_at", BigInteger),
)

password = Table(
    "password",
    metadata,
    Column("person", Integer, ForeignKey("person.id"), primary_key=True),
    Column("hash", Text, nullable=False),  # argon2id, with its parameters and salt
    Column("changed_at", BigInteger, nullable=False),
)

audit = Table(
    "audit",
    metadata,
    Column("id", _Sequence, primary_key=True, autoincrement=True),
    Column("at", BigInteger, nullable=False),
    Column("person", Integer, ForeignKey("person.id")),  # None: not logged in, or the command line
    Column("action", Text, nullable=False),  # login.accepted, alarm.acknowledged, …
    Column("subject", Text, nullable=False),  # what it was done to: an alarm, a person, a file
    Column("detail", Text, nullable=False, server_default=""),
    Index("ix_audit_at", "at"),
)
