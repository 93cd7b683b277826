"""Tables of the alert engine. All times are int64 ms UTC.

Writers: the alerts process alone, but for ``alert_inbox``, ``person``, ``person_group`` and
``rule_set``, which web (or the command line) alone writes.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Float, ForeignKey, Index, Integer, Table, Text

from devices.database import metadata

_Sequence = BigInteger().with_variant(Integer, "sqlite")

person = Table(
    "person",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("display_name", Text, nullable=False),
    Column("role", Text, nullable=False),  # admin disaster waterworks agriculture owner public
    Column("language", Text, nullable=False, server_default="ja"),
    Column("mail_address", Text),
    Column("webhook_url", Text),
    Column("is_active", Boolean, nullable=False, server_default="1"),
)

alarm = Table(
    "alarm",
    metadata,
    Column("id", Text, primary_key=True),  # id of the transition that first opened it
    Column(
        "revision", BigInteger, nullable=False, index=True
    ),  # rises with every change of any alarm
    Column("rule", Text, nullable=False),
    Column("rule_kind", Text, nullable=False),  # stages, silence, event, clock
    Column("device", Integer, nullable=False, index=True),  # registry id
    Column("series", Integer),  # None for silence
    Column("state", Text, nullable=False),  # active, cleared
    Column(
        "level", Integer, nullable=False
    ),  # 1..5, of the present stage (of the last one when cleared)
    Column("stage", Text, nullable=False),
    Column("value", Float),
    Column("peak_level", Integer, nullable=False),
    Column("peak_value", Float),
    Column("opened_at", BigInteger, nullable=False),  # event time
    Column("changed_at", BigInteger, nullable=False),  # event time
    Column("cleared_at", BigInteger),  # event time
    Column("withdrawn_at", BigInteger),  # our clock; a late reading said that it never was
    Column("acknowledged_at", BigInteger),
    Column("acknowledged_by", Integer, ForeignKey("person.id")),
    Column("acknowledge_comment", Text),
    Column("is_verified", Boolean, nullable=False),
    Column("is_historic", Boolean, nullable=False),
    Column("is_exercise", Boolean, nullable=False),
)

transition = Table(
    "transition",
    metadata,
    Column("seq", _Sequence, primary_key=True, autoincrement=True),
    Column(
        "id", Text, nullable=False, unique=True
    ),  # hash of rule version, series, measured_at, state
    Column("alarm", Text, ForeignKey("alarm.id"), nullable=False, index=True),
    Column("rule", Text, nullable=False),
    Column("rule_version", Text, nullable=False),
    Column("device", Integer, nullable=False),
    Column("series", Integer),
    Column("measured_at", BigInteger, nullable=False),  # event time at which the new state holds
    Column("received_at", BigInteger, nullable=False),
    Column("committed_at", BigInteger, nullable=False),
    Column("from_level", Integer, nullable=False),  # 0 is normal
    Column("to_level", Integer, nullable=False),
    Column("from_stage", Text, nullable=False),
    Column("to_stage", Text, nullable=False),
    Column("value", Float),
    Column("is_verified", Boolean, nullable=False),
    Column("is_historic", Boolean, nullable=False),
    Column("is_exercise", Boolean, nullable=False),
    Column("is_correction", Boolean, nullable=False, server_default="0"),  # by a late reading
    Column("withdrawn_at", BigInteger),  # our clock; a late reading says otherwise
)

delivery = Table(
    "delivery",
    metadata,
    Column("id", _Sequence, primary_key=True, autoincrement=True),
    Column("transition", Text, ForeignKey("transition.id"), nullable=False),
    Column("is_withdrawal", Boolean, nullable=False, server_default="0"),  # it does not hold
    Column("alarm", Text, ForeignKey("alarm.id"), nullable=False, index=True),
    Column("person", Integer, ForeignKey("person.id")),
    Column("channel", Text, nullable=False),  # mail, webhook, log
    Column("address", Text, nullable=False),
    Column("state", Text, nullable=False),  # queued, sending, sent, failed
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("created_at", BigInteger, nullable=False),
    Column("next_attempt_at", BigInteger, nullable=False),
    Column("sent_at", BigInteger),
    Column("maybe_repeated", Boolean, nullable=False, server_default="0"),
    Column("last_error", Text),
    Index("ix_delivery_due", "state", "next_attempt_at"),
)

alert_position = Table(
    "alert_position",
    metadata,
    Column("name", Text, primary_key=True),  # a lane, or "inbox"
    Column("epoch", BigInteger, nullable=False),
    Column("n", BigInteger, nullable=False),
)

alert_inbox = Table(
    "alert_inbox",
    metadata,
    Column("id", _Sequence, primary_key=True, autoincrement=True),
    Column("created_at", BigInteger, nullable=False),
    Column("person", Integer, ForeignKey("person.id"), nullable=False),
    Column("command", Text, nullable=False),  # acknowledge
    Column("alarm", Text, nullable=False),
    Column("comment", Text),
)

rule_set = Table(
    "rule_set",
    metadata,
    Column("id", Integer, primary_key=True),  # the newest row holds
    Column("version", Text, nullable=False, index=True),  # sha256 of the canonical JSON
    Column("body", Text, nullable=False),  # TOML, as it was written
    Column("created_at", BigInteger, nullable=False),
    Column("created_by", Text, nullable=False),  # a person's name, "installation", "command line"
)

person_group = Table(
    "person_group",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", Text, nullable=False, unique=True),  # no person's name: both own devices
    Column("display_name", Text, nullable=False),
)

person_group_member = Table(
    "person_group_member",
    metadata,
    Column("person_group", Integer, ForeignKey("person_group.id"), primary_key=True),
    Column("person", Integer, ForeignKey("person.id"), primary_key=True, index=True),
)
