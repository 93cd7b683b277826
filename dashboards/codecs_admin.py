"""What an administrator may do to codecs, each written down: enable, disable, say how one is read.

Pages and the command line both go through here. ``person`` is None for the command line.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Engine

from dashboards import auth
from devices.codecs import codec_store
from devices.codecs.codec_store import Record
from devices.codecs.guess import Guess, guess
from devices.codecs.importing import answers_of
from devices.codecs.mapping import MappingError, QuantityMapping
from devices.database import writing
from devices.kinds import FIELD_KINDS
from devices.registry import Registry

COMMAND_LINE: Final = "command line"


def set_enabled(
    database: Engine, name: str, is_enabled: bool, *, person: int | None, by: str, now: int
) -> Record:
    """Let a codec decode, or no more. Raises UnknownCodec."""
    with writing(database) as connection:
        codec_store.set_enabled(connection, name, is_enabled, by=by, now=now)
        action = "codec.enabled" if is_enabled else "codec.disabled"
        auth.note(connection, now, person, action, name)
    Registry(database).bump_revision()
    return codec_store.record(database, name)


def set_mapping(
    database: Engine,
    name: str,
    mapping: QuantityMapping,
    *,
    person: int | None,
    by: str,
    now: int,
) -> Record:
    """Confirm how a codec's answers are read. Raises UnknownCodec, MappingError."""
    with writing(database) as connection:
        codec_store.set_mapping(connection, name, mapping, by=by, now=now)
        auth.note(connection, now, person, "codec.mapped", name)
    Registry(database).bump_revision()
    return codec_store.record(database, name)


def proposal(database: Engine, name: str, kind: str | None) -> Guess:
    """How a codec's answers could be read. Raises UnknownCodec, MappingError for no such kind."""
    if kind and kind not in FIELD_KINDS:
        raise MappingError(f"no kind is called {kind!r}: {', '.join(FIELD_KINDS)}")
    return guess(answers_of(codec_store.record(database, name)), kind or None)
