"""Tables of the registry: places in service, the hardware in them, their series. Times: ms UTC.

Writers: web (and the command line) for all but ``series``; intake adds the series that turn up in
service. Every write transaction raises ``registry_revision`` first, which orders them all.
Nothing is ever deleted: an id in the journal or in a store must stay explicable.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    select,
    text,
)

from devices.database import metadata

registry_revision = Table(
    "registry_revision",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),  # always 1
    Column("revision", BigInteger, nullable=False),
    CheckConstraint("id = 1", name="single_row"),
)

PRESENT_REVISION = select(registry_revision.c.revision).scalar_subquery()
"""What a row that changes notes in ``changed_in``: its transaction has raised the revision."""

device = Table(
    "device",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", Text, nullable=False, unique=True),  # as in its topics
    Column("kind", Text, nullable=False),
    Column("label", Text, nullable=False),
    Column("label_en", Text, nullable=False),
    Column("site", Text, nullable=False),  # where it stands: a pump station, a bridge, a barn
    Column("area", Text, nullable=False),  # the district that is told and searched
    Column("latitude", Float),
    Column("longitude", Float),
    Column("interval_s", Integer, nullable=False),
    Column("intervals", JSON, nullable=False),  # {normal: s, active: s}; empty: always interval_s
    Column("active_from", Float),  # value of its main quantity from which it is active
    Column("silence_after_s", Float, nullable=False),
    Column("thresholds", JSON, nullable=False),  # {stage: value}
    Column("tags", JSON, nullable=False),  # [tag, …]
    Column("gateway", Text),  # name of the device that may speak for this one
    Column("owner", Text),  # name of a person or of a group
    Column("open_data", Text, nullable=False),  # what the public is given: none, values
    Column("registered_at", BigInteger, nullable=False),
    Column("decommissioned_at", BigInteger),
    Column("changed_in", BigInteger, nullable=False, index=True),  # revision of its last change
    sqlite_autoincrement=True,  # an id is never given twice
)

area = Table(
    "area",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", Text, nullable=False, unique=True),  # as devices and routes name it
    Column("label", Text, nullable=False),
    Column("label_en", Text, nullable=False),
    Column("parent", Text),  # name of the area that it is a part of
    Column("changed_in", BigInteger, nullable=False, index=True),
    sqlite_autoincrement=True,
)

site = Table(
    "site",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", Text, nullable=False, unique=True),  # as devices name it
    Column("label", Text, nullable=False),
    Column("label_en", Text, nullable=False),
    Column("area", Text, nullable=False),
    Column("latitude", Float),
    Column("longitude", Float),
    Column("address", Text, nullable=False),
    Column("note", Text, nullable=False),  # who has the key, where to park
    Column("changed_in", BigInteger, nullable=False, index=True),
    sqlite_autoincrement=True,
)

unit = Table(
    "unit",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("device", Integer, ForeignKey("device.id"), nullable=False),
    Column("serial_number", Text),
    Column("dev_eui", Text),  # 16 hex digits, upper case
    Column("model", Text),
    Column("installed_at", BigInteger, nullable=False),  # inclusive
    Column("removed_at", BigInteger),  # exclusive; None: it is the one in service
    # What its counter showed and how far it counts, in the counter's unit (m3); None: not known.
    Column("rollover_at", Float),
    Column("initial_reading", Float),
    Column("final_reading", Float),
    Column("credential", Text),  # mosquitto's hash of its password, never the password
    Column("codec", Text),  # what reads its payloads: dragino/ldds75, cayenne-lpp
    Column("changed_in", BigInteger, nullable=False, index=True),
    Index("ix_unit_device", "device", "installed_at"),
    # One unit in service a device, one place in service a DevEUI.
    Index(
        "uq_unit_in_service",
        "device",
        unique=True,
        sqlite_where=text("removed_at IS NULL"),
        postgresql_where=text("removed_at IS NULL"),
    ),
    Index(
        "uq_unit_dev_eui_in_service",
        "dev_eui",
        unique=True,
        sqlite_where=text("removed_at IS NULL"),
        postgresql_where=text("removed_at IS NULL"),
    ),
    sqlite_autoincrement=True,
)

series = Table(
    "series",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("device", Integer, ForeignKey("device.id"), nullable=False),
    Column("quantity", Text, nullable=False),
    Column("changed_in", BigInteger, nullable=False, index=True),
    UniqueConstraint("device", "quantity", name="uq_series_device_quantity"),
    sqlite_autoincrement=True,
)

datum = Table(
    "datum",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("device", Integer, ForeignKey("device.id"), nullable=False),
    Column("since", BigInteger, nullable=False),  # inclusive, until the next one's
    Column("gauge_zero_m", Float),  # elevation of the staff's zero, T.P.
    Column("mounting_height_m", Float),  # the sensor above that zero, the road or the field
    Column("changed_in", BigInteger, nullable=False, index=True),
    UniqueConstraint("device", "since", name="uq_datum_device_since"),
    sqlite_autoincrement=True,
)

maintenance = Table(
    "maintenance",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("device", Integer, ForeignKey("device.id"), nullable=False, index=True),
    Column("starts_at", BigInteger, nullable=False),  # inclusive
    Column("ends_at", BigInteger, nullable=False),  # exclusive
    Column("reason", Text, nullable=False),
    Column("noted_by", Text, nullable=False),  # name of a person; empty: the command line
    Column("noted_at", BigInteger, nullable=False),
    Column("cancelled_at", BigInteger),
    Column("changed_in", BigInteger, nullable=False, index=True),
    sqlite_autoincrement=True,
)
