"""The table of vendors' codecs. Times: ms UTC. Written by web and the command line."""

from __future__ import annotations

from sqlalchemy import JSON, BigInteger, Boolean, Column, Integer, Table, Text

from devices.database import metadata

codec = Table(
    "codec",
    metadata,
    Column("name", Text, primary_key=True),  # vendor/codec, as published
    Column("script", Text, nullable=False),
    Column("digest", Text, nullable=False),  # of the script alone
    Column("source", Text, nullable=False),  # the layout that it was read from, and where
    Column("vendor", Text, nullable=False),
    Column("models", JSON, nullable=False),  # [{brand, brand_name, model, model_name, …}]
    Column("imported_at", BigInteger, nullable=False),
    Column("uplink_vectors", Integer, nullable=False),
    Column("uplink_passed", Integer, nullable=False),
    Column("downlink_vectors", Integer, nullable=False),
    Column("downlink_passed", Integer, nullable=False),
    Column("failures", JSON, nullable=False),  # [{call, example, problem}]
    Column("examples", JSON, nullable=False),  # what it made of its examples: [{data, normalized}]
    Column("may_reuse", Boolean, nullable=False),
    Column("is_enabled", Boolean, nullable=False),
    Column("decided_by", Text, nullable=False),  # who enabled or disabled it; "" is the import
    Column("decided_at", BigInteger, nullable=False),
    Column("mapping", JSON),  # as `devices.codecs.mapping` keeps it; None: there is none yet
    Column("is_mapping_confirmed", Boolean, nullable=False),
    Column("mapped_by", Text, nullable=False),  # "" is the import
    Column("mapped_at", BigInteger),
)
