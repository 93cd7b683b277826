"""Downlinks that were sent and what became of them; where each LoRaWAN device hangs. Times: ms UTC.

Written by web (and the command line, in the way of docs/decisions/0004) alone.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, LargeBinary, Table, Text

from devices.database import metadata

downlink = Table(
    "downlink",
    metadata,
    Column("id", Text, primary_key=True),  # a UUID, ours; the network server gives it back
    Column("device", Integer, nullable=False),  # registry id
    Column("dev_eui", Text, nullable=False),
    Column("network", Text, nullable=False),  # name in the settings
    Column("port", Integer, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("is_confirmed", Boolean, nullable=False),
    Column("requested_by", Integer),  # person; None: the command line
    Column("requested_at", BigInteger, nullable=False),
    Column("step", Text, nullable=False),  # dashboards.downlink_book.Step
    Column("handed_over_at", BigInteger),  # the network server's broker has it
    Column("queued_at", BigInteger),
    Column("sent_at", BigInteger),
    Column("acknowledged_at", BigInteger),
    Column("failed_at", BigInteger),
    Column("detail", Text, nullable=False, server_default=""),
    Index("ix_downlink_device", "device", "requested_at"),
)

network_sender = Table(
    "network_sender",
    metadata,
    Column("dev_eui", Text, primary_key=True),
    Column("network", Text, nullable=False),  # name in the settings
    Column("application", Text, nullable=False),  # as in the topic
    Column("name", Text, nullable=False),  # the device's in the network server
    Column("since", BigInteger, nullable=False),  # first heard there
)
