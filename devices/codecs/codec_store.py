"""Where codecs are kept, and how that changes: imports, enabling, mappings.

Whoever changes something here raises the registry's revision afterwards (`Registry.bump_revision`),
so that what decodes looks again. Written by web and the command line. Refuses to run anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from sqlalchemy import Connection, Engine, Row, delete, insert, select, update

from devices.codecs import tables
from devices.codecs.mapping import MappingError, QuantityMapping, checked, from_json, to_json
from devices.codecs.models import Model


@dataclass(frozen=True, slots=True)
class Record:
    """A codec as it is kept. ``decided_by`` and ``mapped_by`` are "" for the import itself."""

    name: str
    script: str
    digest: str
    source: str
    vendor: str
    models: tuple[Model, ...]
    imported_at: int
    uplink_vectors: int
    uplink_passed: int
    downlink_vectors: int
    downlink_passed: int
    failures: tuple[Mapping[str, str], ...]
    examples: tuple[Mapping[str, Any], ...]
    may_reuse: bool
    is_enabled: bool
    decided_by: str
    decided_at: int
    mapping: QuantityMapping | None
    is_mapping_confirmed: bool
    mapped_by: str
    mapped_at: int | None

    @property
    def has_examples(self) -> bool:
        """Whether anything was shown of it."""
        return bool(self.uplink_vectors or self.downlink_vectors)

    @property
    def has_passed(self) -> bool:
        """Whether every example holds (one without any has nothing to fail)."""
        return not self.failures


@dataclass(frozen=True, slots=True)
class Brief:
    """A line of the list of codecs."""

    name: str
    vendor: str
    is_enabled: bool
    is_mapping_confirmed: bool
    uplink_vectors: int
    uplink_passed: int
    downlink_vectors: int
    downlink_passed: int
    may_reuse: bool


class UnknownCodec(KeyError):
    """No codec has this name."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return f"no codec is called {self.name!r}"


def briefs(database: Engine) -> tuple[Brief, ...]:
    """All codecs by name, without their scripts and examples."""
    columns = [tables.codec.c[field.name] for field in fields(Brief)]
    with database.connect() as connection:
        rows = connection.execute(select(*columns).order_by(tables.codec.c.name))
        return tuple(Brief(**row._mapping) for row in rows)


def records(database: Engine) -> tuple[Record, ...]:
    """All codecs by name, with all that is kept of them."""
    with database.connect() as connection:
        rows = connection.execute(select(tables.codec).order_by(tables.codec.c.name))
        return tuple(map(_record, rows))


def record(database: Engine, name: str) -> Record:
    """One codec. Raises UnknownCodec."""
    with database.connect() as connection:
        query = select(tables.codec).where(tables.codec.c.name == name)
        row = connection.execute(query).one_or_none()
    if row is None:
        raise UnknownCodec(name)
    return _record(row)


def save(connection: Connection, changed: Sequence[Record]) -> None:
    """Keep these records in place of what was kept under their names."""
    for one in changed:
        connection.execute(delete(tables.codec).where(tables.codec.c.name == one.name))
        connection.execute(insert(tables.codec).values(_columns(one)))


def set_enabled(connection: Connection, name: str, is_enabled: bool, *, by: str, now: int) -> None:
    """Let a codec decode from now on, or no more. Raises UnknownCodec."""
    _change(connection, name, is_enabled=is_enabled, decided_by=by, decided_at=now)


def set_mapping(
    connection: Connection, name: str, mapping: QuantityMapping, *, by: str, now: int
) -> None:
    """Confirm how a codec's answers are read. Raises UnknownCodec, MappingError."""
    kept = to_json(checked(mapping))
    _change(connection, name, mapping=kept, is_mapping_confirmed=True, mapped_by=by, mapped_at=now)


def _change(connection: Connection, name: str, **values: Any) -> None:
    change = update(tables.codec).where(tables.codec.c.name == name).values(**values)
    if not connection.execute(change).rowcount:
        raise UnknownCodec(name)


def _columns(one: Record) -> dict[str, Any]:
    columns = {field.name: getattr(one, field.name) for field in fields(one)}
    columns["models"] = [asdict(model) for model in one.models]
    columns["mapping"] = None if one.mapping is None else to_json(one.mapping)
    columns["failures"], columns["examples"] = list(one.failures), list(one.examples)
    return columns


def _record(row: Row[Any]) -> Record:
    columns = dict(row._mapping)
    columns["models"] = tuple(Model(**model) for model in row.models)
    columns["failures"], columns["examples"] = tuple(row.failures), tuple(row.examples)
    columns["mapping"] = _mapping(row.mapping)
    return Record(**columns)


def _mapping(kept: Any) -> QuantityMapping | None:
    """What is kept; what this release cannot read any more must be mapped anew."""
    try:
        return None if kept is None else from_json(kept)
    except MappingError:
        return None
