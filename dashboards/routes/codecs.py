"""Vendors' codecs: which there are, which may decode, how their answers are read.

A codec's name has a slash in it, so it stands in the query. Importing is the command line's: it
runs strangers' programs for minutes.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from dashboards import codecs_admin
from dashboards.errors import Refusal, not_found
from dashboards.parts import WithAdmin, WithParts
from devices.codecs import codec_store
from devices.codecs.codec_store import Brief, Record, UnknownCodec
from devices.codecs.importing import unmapped
from devices.codecs.library import Library
from devices.codecs.mapping import MAX_ENTRIES, MappingError
from devices.codecs.mapping_text import from_text, to_text

router = APIRouter(prefix="/api/codecs")

CodecName = Annotated[str, Query(min_length=1, max_length=200)]
_Text = Annotated[str, Field(max_length=600)]


class CodecLine(BaseModel):
    """One codec in brief; ``is_mapped``: somebody has confirmed how its answers are read."""

    name: str
    vendor: str
    is_enabled: bool
    is_mapped: bool
    uplink_vectors: int
    uplink_passed: int
    downlink_vectors: int
    downlink_passed: int


class Codecs(BaseModel):
    """All codecs, by name."""

    codecs: list[CodecLine]


class FailedExample(BaseModel):
    """An example that does not hold, and why."""

    call: str
    example: str
    problem: str


class CodecDetail(CodecLine):
    """A codec with what is known of it; ``mapping`` as people type it (docs/codecs.md).

    ``decided_by`` is "" where the import decided; ``examples`` what it said to its examples;
    ``unmapped`` quantities that could be read from it and are not.
    """

    source: str
    models: list[str]
    imported_at: int
    decided_by: str
    decided_at: int
    failures: list[FailedExample]
    examples: list[Any]
    mapping: list[str]
    mapped_by: str
    unmapped: list[str]


class Enabling(BaseModel):
    """Whether it may decode from now on."""

    is_enabled: bool


class Mapping(BaseModel):
    """Entries as people type them: ``path=quantity[*scale][+offset]``, ``normalizeUplink``."""

    mapping: Annotated[list[_Text], Field(max_length=MAX_ENTRIES)]


class ProposedEntry(BaseModel):
    """One entry and why it is proposed."""

    text: str
    quantity: str
    reason: str


class Proposal(BaseModel):
    """A mapping to confirm or to change; ``mapping`` is what to send back to confirm all of it."""

    mapping: list[str]
    entries: list[ProposedEntry]
    unread: list[str]


class Suggestions(BaseModel):
    """Names of enabled codecs, the likeliest first."""

    codecs: list[str]


@router.get("")
def codecs(_admin: WithAdmin, parts: WithParts) -> Codecs:
    """All codecs."""
    return Codecs(codecs=[_line(one) for one in codec_store.briefs(parts.database)])


@router.get("/suggestions")
def suggestions(
    _admin: WithAdmin,
    parts: WithParts,
    brand: Annotated[str, Query(max_length=200)] = "",
    model: Annotated[str, Query(max_length=200)] = "",
    profile: Annotated[str, Query(max_length=200)] = "",
) -> Suggestions:
    """Codecs for a device that a network server calls so."""
    return Suggestions(codecs=list(Library(parts.database).suggest(brand, model, profile)))


@router.get("/codec")
def codec(_admin: WithAdmin, parts: WithParts, name: CodecName) -> CodecDetail:
    """One codec."""
    try:
        return _detail(codec_store.record(parts.database, name))
    except UnknownCodec:
        raise not_found("codec") from None


@router.put("/codec/enabled")
def set_enabled(admin: WithAdmin, parts: WithParts, name: CodecName, body: Enabling) -> CodecDetail:
    """Let a codec decode, or no more: what comes for it waits in quarantine then."""
    try:
        record = codecs_admin.set_enabled(
            parts.database, name, body.is_enabled, person=admin.id, by=admin.name, now=parts.now()
        )
    except UnknownCodec:
        raise not_found("codec") from None
    return _detail(record)


@router.put("/codec/mapping")
def set_mapping(admin: WithAdmin, parts: WithParts, name: CodecName, body: Mapping) -> CodecDetail:
    """Confirm how a codec's answers are read, in place of what held before."""
    try:
        record = codecs_admin.set_mapping(
            parts.database,
            name,
            from_text(body.mapping),
            person=admin.id,
            by=admin.name,
            now=parts.now(),
        )
    except UnknownCodec:
        raise not_found("codec") from None
    except MappingError as error:
        raise Refusal(422, "bad_mapping", str(error), path="mapping") from None
    return _detail(record)


@router.get("/codec/guess")
def guess(
    _admin: WithAdmin,
    parts: WithParts,
    name: CodecName,
    kind: Annotated[str, Query(max_length=64)] = "",
) -> Proposal:
    """How its answers could be read, with a reason an entry; nothing holds until it is sent."""
    try:
        found = codecs_admin.proposal(parts.database, name, kind)
    except UnknownCodec:
        raise not_found("codec") from None
    except MappingError as error:
        raise Refusal(422, "no_such_kind", str(error), path="kind") from None
    texts = to_text(found.mapping)
    own = texts[len(texts) - len(found.lines) :]
    return Proposal(
        mapping=list(texts),
        entries=[
            ProposedEntry(text=text, quantity=line.entry.quantity, reason=line.reason)
            for text, line in zip(own, found.lines, strict=True)
        ],
        unread=list(found.unread[:200]),
    )


def _line(record: Record | Brief) -> CodecLine:
    return CodecLine(
        name=record.name,
        vendor=record.vendor,
        is_enabled=record.is_enabled,
        is_mapped=record.is_mapping_confirmed,
        uplink_vectors=record.uplink_vectors,
        uplink_passed=record.uplink_passed,
        downlink_vectors=record.downlink_vectors,
        downlink_passed=record.downlink_passed,
    )


def _detail(record: Record) -> CodecDetail:
    return CodecDetail(
        **_line(record).model_dump(),
        source=record.source,
        models=sorted({model.model_name or model.model for model in record.models}),
        imported_at=record.imported_at,
        decided_by=record.decided_by,
        decided_at=record.decided_at,
        failures=[FailedExample(**failure) for failure in record.failures],
        examples=[example.get("data") for example in record.examples],
        mapping=[] if record.mapping is None else list(to_text(record.mapping)),
        mapped_by=record.mapped_by,
        unmapped=list(unmapped(record)),
    )
