"""Where rule sets are kept: one row a version that ever held, the newest row holds.

Refuses to know what the rules mean (``alerts.rules``). Written by web and the command line.
"""

from __future__ import annotations

from sqlalchemy import Engine, insert, select

from alerts.rules import RuleSet, load_rules
from alerts.tables import rule_set
from devices.database import writing
from devices.registry import Registry


def save_rules(database: Engine, rules: RuleSet, *, by: str, now: int) -> None:
    """Let ``rules`` hold from the next registry revision on, which this raises."""
    with writing(database) as connection:
        connection.execute(
            insert(rule_set).values(
                version=rules.version, body=rules.text, created_at=now, created_by=by
            )
        )
    Registry(database).bump_revision()


def stored_rules(database: Engine, version: str | None = None) -> RuleSet | None:
    """The rules that hold, or those of a version; None where there are none.

    Raises RuleError when the stored text is no rule set for this release.
    """
    query = select(rule_set.c.body).order_by(rule_set.c.id.desc()).limit(1)
    if version is not None:
        query = query.where(rule_set.c.version == version)
    with database.connect() as connection:
        body = connection.scalar(query)
    return None if body is None else load_rules(body)
