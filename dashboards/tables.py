"""Tables that the web process alone writes: who may come in, what people did, how devices are.

All times are int64 ms UTC. Tokens are kept as SHA-256 of 256 random bits (they cannot be guessed,
so a slow hash gains nothing); passwords as argon2id. People themselves: ``alerts.tables.person``.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
)

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

device_days = Table(
    "device_days",
    metadata,
    Column("device", Integer, primary_key=True, autoincrement=False),  # registry id
    Column("body", LargeBinary, nullable=False),  # devices.health.history
)

device_health = Table(
    "device_health",
    metadata,
    Column("device", Integer, primary_key=True, autoincrement=False),  # registry id
    Column("assessed_at", BigInteger, nullable=False),
    Column("severity", Integer, nullable=False),  # devices.health.findings.Severity, 0: all well
    Column("due_days", Integer),
    Column("codes", Text, nullable=False),  # of the findings, between commas
    Column("body", Text, nullable=False),  # JSON: the figures and the findings
)

device_said = Table(
    "device_said",
    metadata,
    Column("device", Integer, primary_key=True, autoincrement=False),  # registry id
    Column("body", Text, nullable=False),  # JSON: firmware, margin, frames of the last days
)

network_gateway = Table(
    "network_gateway",
    metadata,
    Column("gateway", Text, primary_key=True),  # as the network server names it
    Column("network", Text, nullable=False),  # name in the settings
    Column("last_heard_at", BigInteger, nullable=False),
    Column("latitude", Float),
    Column("longitude", Float),
)

network_reception = Table(
    "network_reception",
    metadata,
    Column("device", Integer, primary_key=True, autoincrement=False),  # registry id
    Column("gateway", Text, primary_key=True),
    Column("last_heard_at", BigInteger, nullable=False),
    Column("uplinks", Float, nullable=False),  # halved each three days
    Column("rssi", Float),  # dBm, smoothed
    Column("snr", Float),  # dB, smoothed
)
