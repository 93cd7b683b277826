"""Tables of quarantine, sequence gaps and resubmission. All times are int64 ms UTC.

Writers: ``quarantine``, ``sequence_gap``, ``web_position`` and ``resubmission`` by web alone,
``resubmission_done`` and ``intake_position`` by intake alone.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
)

from devices.database import metadata

_Sequence = BigInteger().with_variant(Integer, "sqlite")

quarantine = Table(
    "quarantine",
    metadata,
    Column("id", _Sequence, primary_key=True, autoincrement=True),
    Column("received_at", BigInteger, nullable=False, index=True),
    Column("lane", Text, nullable=False),
    Column("topic", Text, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("reason", Text, nullable=False, index=True),
    Column("detail", Text, nullable=False),
    Column("network", Text, nullable=False, server_default=""),  # it came from; "": from no network
    Column("candidate", Integer, index=True),  # of the waiting list: the unknown device it tells of
    sqlite_autoincrement=True,  # ids are never reused: a resubmission names one
)

sequence_gap = Table(
    "sequence_gap",
    metadata,
    Column("id", _Sequence, primary_key=True, autoincrement=True),
    Column("device", Integer, nullable=False),  # registry id
    Column("first", BigInteger, nullable=False),  # inclusive
    Column("last", BigInteger, nullable=False),  # inclusive
    Column("at", BigInteger, nullable=False),  # when the gap was seen first
    Column("is_filled", Boolean, nullable=False),
    Column("filled_at", BigInteger),
    Index("ix_sequence_gap_open", "device", "is_filled", "first"),
)

resubmission = Table(
    "resubmission",
    metadata,
    Column("id", _Sequence, primary_key=True, autoincrement=True),
    Column("quarantine", BigInteger, nullable=False, index=True),  # the row may have been dropped
    Column("created_at", BigInteger, nullable=False),
    Column("topic", Text, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("received_at", BigInteger, nullable=False, index=True),  # when it first came
    Column("lane", Text, nullable=False),  # that takes it in, by its topic
    Column("network", Text, nullable=False, server_default=""),  # as in the quarantine
    sqlite_autoincrement=True,
)

resubmission_done = Table(
    "resubmission_done",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),  # of the resubmission
    Column("at", BigInteger, nullable=False),  # when intake had it in its journal
)

intake_position = Table(
    "intake_position",
    metadata,
    Column("name", Text, primary_key=True),  # "resubmission"
    Column("done", BigInteger, nullable=False),  # all up to this id is done
)

web_position = Table(
    "web_position",
    metadata,
    Column("reader", Text, primary_key=True),  # "quarantine"
    Column("lane", Text, primary_key=True),
    Column("epoch", BigInteger, nullable=False),
    Column("n", BigInteger, nullable=False),
    Column("dropped", BigInteger, nullable=False, server_default="0"),  # rows over the bound
)
