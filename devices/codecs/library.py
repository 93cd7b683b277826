"""The codecs that an installation has, as whoever decodes messages sees them.

Only what is enabled, with the mapping that was confirmed. Read once for each revision of the
registry, then without asking anybody. Refuses to know who imports and enables
(`devices.codecs.codec_store`) and how codecs are run.
"""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock
from typing import Final

from sqlalchemy import Engine, select

from devices import tables as registry_tables
from devices.codecs import tables
from devices.codecs.codec import Codec
from devices.codecs.mapping import MappingError, QuantityMapping, from_json
from devices.codecs.models import Model, best, likeness

_UNMAPPED: Final = QuantityMapping()


@dataclass(frozen=True, slots=True)
class Enabled:
    """A codec that may decode, and how its answers are read; an empty mapping as long as nobody
    has confirmed one."""

    codec: Codec
    mapping: QuantityMapping

    @property
    def is_mapped(self) -> bool:
        """False: what it decodes waits until its mapping is confirmed (``no_mapping``)."""
        return bool(self.mapping.entries) or self.mapping.uses_normalized


class Library:
    """Enabled codecs over a relational database. Thread-safe."""

    def __init__(self, database: Engine) -> None:
        self._database = database
        self._lock = Lock()
        self._revision = -1
        self._known: dict[str, Enabled | None] = {}
        self._models: list[tuple[str, tuple[Model, ...]]] | None = None

    def codec(self, name: str, revision: int | None = None) -> Enabled | None:
        """The codec of this name; None where there is none, or it is disabled.

        ``revision`` is the registry's as the caller knows it: what was read at it is not read
        again. Without one the database is asked for it.
        """
        with self._lock:
            self._renew(self._revision_now() if revision is None else revision)
            if name not in self._known:
                self._known[name] = self._read(name)
            return self._known[name]

    def suggest(
        self, brand: str, model: str = "", profile_name: str = "", revision: int | None = None
    ) -> tuple[str, ...]:
        """Names of enabled codecs for what a network server calls a device, the likeliest first.

        ``brand`` and ``model`` are its ids or names, ``profile_name`` free text; each may be "".
        """
        with self._lock:
            self._renew(self._revision_now() if revision is None else revision)
            if self._models is None:
                self._models = self._read_models()
            known = self._models
        return best(
            [
                (likeness(one, brand, model, profile_name), name)
                for name, models in known
                for one in models
            ]
        )

    def _renew(self, revision: int) -> None:
        if revision != self._revision:
            self._revision = revision
            self._known = {}
            self._models = None

    def _revision_now(self) -> int:
        with self._database.connect() as connection:
            found = connection.scalar(select(registry_tables.registry_revision.c.revision))
        return found or 0

    def _read(self, name: str) -> Enabled | None:
        table = tables.codec
        columns = (table.c.script, table.c.may_reuse, table.c.mapping)
        query = select(*columns, table.c.is_mapping_confirmed).where(
            table.c.name == name, table.c.is_enabled
        )
        with self._database.connect() as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            return None
        codec = Codec(name, row.script, row.may_reuse)
        return Enabled(codec, _mapping(row.mapping) if row.is_mapping_confirmed else _UNMAPPED)

    def _read_models(self) -> list[tuple[str, tuple[Model, ...]]]:
        table = tables.codec
        query = select(table.c.name, table.c.models).where(table.c.is_enabled)
        with self._database.connect() as connection:
            rows = connection.execute(query.order_by(table.c.name))
            return [(row.name, tuple(Model(**one) for one in row.models)) for row in rows]


def _mapping(kept: object) -> QuantityMapping:
    """What is kept; a mapping that this release cannot read any more is none."""
    try:
        return from_json(kept)
    except MappingError:
        return _UNMAPPED
