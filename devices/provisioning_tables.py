"""Tables of enrolment: its key, and what admitted devices are to be told. Times: ms UTC.

Written by web (and the command line) alone; intake reads the answers and publishes them.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Column, Integer, Table, Text

from devices.database import metadata

enrolment_key = Table(
    "enrolment_key",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),  # always 1; no row: it is off
    Column("password_line", Text, nullable=False),  # mosquitto's, never the key itself
    Column("made_at", BigInteger, nullable=False),
    CheckConstraint("id = 1", name="single_key"),
)

enrolment_answer = Table(
    "enrolment_answer",
    metadata,
    Column("serial", Text, primary_key=True),
    Column("device", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("accepted_at", BigInteger, nullable=False),
    Column("heard_at", BigInteger),  # the device has come in: the answer may be cleared
)
