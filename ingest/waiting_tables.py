"""The waiting list: devices that were heard and that nobody has registered. Times: ms UTC.

Written by web (and the command line) alone. Bounded by ``ingest.waiting``.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
)

from devices.database import metadata

candidate = Table(
    "candidate",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("identity_kind", Text, nullable=False),  # dev_eui, name, serial
    Column("identity", Text, nullable=False),
    Column("claim", Text, nullable=False),  # fingerprint of the password that it chose, or ""
    Column("source", Text, nullable=False),  # who let it speak: gateway/gw-01, network/…, enrolment
    Column("topic", Text, nullable=False),  # of its last message
    Column("first_heard_at", BigInteger, nullable=False),
    Column("last_heard_at", BigInteger, nullable=False),
    Column("messages", BigInteger, nullable=False),
    Column("sample", LargeBinary, nullable=False),  # the beginning of its last message
    Column("hints", JSON, nullable=False),  # what it says of itself: {name, model, kind, …}
    Column("password_hash", Text),  # of an enrolment: mosquitto's, checked
    Column("is_expected", Boolean, nullable=False),  # its serial number is in the registry
    Column("state", Text, nullable=False),  # waiting, accepted, refused
    Column("decided_at", BigInteger),
    Column("decided_by", Integer),  # person; None: the command line
    Column("device", Text),  # what it was accepted as
    Column("since", BigInteger),  # accepted: what it said before is not the device's
    UniqueConstraint("identity_kind", "identity", "claim", name="uq_candidate_identity_claim"),
    Index("ix_candidate_state_source", "state", "source", "last_heard_at"),
    sqlite_autoincrement=True,
)
