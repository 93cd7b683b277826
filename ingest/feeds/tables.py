"""Tables of outside feeds. All times are int64 ms UTC. Writer: the feeds process alone."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
)

from devices.database import metadata

feed_state = Table(
    "feed_state",
    metadata,
    Column("feed", Text, primary_key=True),  # "extra"
    Column("url", Text, nullable=False),
    Column("tried_at", BigInteger),
    Column("good_at", BigInteger),  # all that it lists for us was read
    Column("error", Text),  # why the last try was not good
    Column("error_since", BigInteger),
    Column("newest_entry_at", BigInteger),
    Column("etag", Text),
    Column("last_modified", Text),
)

feed_document = Table(
    "feed_document",
    metadata,
    Column("id", Text, primary_key=True),  # file name: 20260830024006_0_VPWW55_180000
    Column("url", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("office", Text, nullable=False),
    Column("listed_at", BigInteger, nullable=False),
    Column("taken_at", BigInteger, nullable=False),
    Column("outcome", Text, nullable=False),  # read, rejected, skipped, failed
    Column("detail", Text, nullable=False, server_default=""),
    Column("tries", Integer, nullable=False, server_default="0"),  # of one that failed
    # what it says of itself; empty unless it was read
    Column("title", Text, nullable=False, server_default=""),
    Column("publisher", Text, nullable=False, server_default=""),
    Column("change", Text, nullable=False, server_default=""),  # issued, corrected, cancelled
    Column("status", Text, nullable=False, server_default=""),
    Column("is_exercise", Boolean, nullable=False, server_default="0"),
    Column("is_summary", Boolean, nullable=False, server_default="0"),
    Column("groups", Text, nullable=False, server_default=""),  # all of which it says, comma
    Column("reported_at", BigInteger),
    Column("made_at", BigInteger),
    Column("valid_until", BigInteger),
    Column("event_id", Text, nullable=False, server_default=""),
    Column("headline", Text, nullable=False, server_default=""),
    Column("cancelled_at", BigInteger),  # a later document took it back
    Column("cancelled_by", Text),
    Index("ix_feed_document_type", "type", "office", "reported_at"),
)

weather_warning = Table(
    "weather_warning",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("document", Text, ForeignKey("feed_document.id", ondelete="CASCADE"), nullable=False),
    Column("area_code", Text, nullable=False),
    Column("area_name", Text, nullable=False),
    Column("kind_code", Text, nullable=False),  # empty: the document speaks of this area at all
    Column("group_name", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("name_en", Text, nullable=False),
    Column("level", Integer),  # None: a kind that the table of names does not know
    Column("status", Text, nullable=False),
    Column("is_in_force", Boolean, nullable=False),
    Column("stated_at", BigInteger),  # of this warning, where the document repeats others
    Column("reported_at", BigInteger, nullable=False),
    Column("valid_until", BigInteger),
    Column("is_exercise", Boolean, nullable=False),
    Column("cancelled_at", BigInteger),
    Index("ix_weather_warning_document", "document"),
    Index("ix_weather_warning_area", "area_code", "is_exercise", "reported_at"),
)

weather_rain = Table(
    "weather_rain",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("document", Text, ForeignKey("feed_document.id", ondelete="CASCADE"), nullable=False),
    Column("area_code", Text, nullable=False),
    Column("area_name", Text, nullable=False),
    Column("place", Text, nullable=False),
    Column("quantity", Text, nullable=False),  # JMA's word: １時間最大雨量
    Column("from_at", BigInteger, nullable=False),
    Column("to_at", BigInteger, nullable=False),
    Column("value_mm", Float, nullable=False),
    Column("words", Text, nullable=False),
    Column("is_forecast", Boolean, nullable=False),
    Index("ix_weather_rain_document", "document"),
)

weather_tag = Table(
    "weather_tag",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("document", Text, ForeignKey("feed_document.id", ondelete="CASCADE"), nullable=False),
    Column("condition", Text, nullable=False),
    Column("area_code", Text, nullable=False),
    Column("area_name", Text, nullable=False),
    Index("ix_weather_tag_document", "document"),
)
