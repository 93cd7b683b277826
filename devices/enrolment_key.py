"""The key with which unknown devices may ask to be admitted: made, shown once, revoked.

There is none until somebody makes one, and one at a time. Refuses to know the broker's files; they
follow because the registry's revision rises.
"""

from __future__ import annotations

from sqlalchemy import Connection, Engine, delete, insert, select

from devices.credentials import ENROLMENT_ACCOUNT, mosquitto_password_line, new_password
from devices.provisioning_tables import enrolment_key


def password_line(database: Engine) -> str | None:
    """What the broker's password file holds of the key; None while enrolment is off."""
    with database.connect() as connection:
        return connection.execute(select(enrolment_key.c.password_line)).scalar()


def made_at(database: Engine) -> int | None:
    """When the present key was made, ms UTC; None while enrolment is off."""
    with database.connect() as connection:
        return connection.execute(select(enrolment_key.c.made_at)).scalar()


def renew(connection: Connection, now: int) -> str:
    """Make a new key in place of the present one, which is void; returned once, kept nowhere."""
    key = new_password()
    revoke(connection)
    line = mosquitto_password_line(ENROLMENT_ACCOUNT, key)
    connection.execute(insert(enrolment_key).values(id=1, password_line=line, made_at=now))
    return key


def revoke(connection: Connection) -> bool:
    """End enrolment; False if it was off."""
    return bool(connection.execute(delete(enrolment_key)).rowcount)
