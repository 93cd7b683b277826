"""What the command line does to the codecs of an installation, and says of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine

from dashboards import codecs_admin
from devices.codecs import codec_store
from devices.codecs.codec_store import Brief, Record
from devices.codecs.guess import Guess
from devices.codecs.importing import unmapped
from devices.codecs.mapping import MappingError, QuantityMapping, to_json
from devices.codecs.mapping_text import from_text, to_text
from satomori.clock import now_ms


@dataclass(frozen=True, slots=True)
class Listing:
    """The codecs that are kept."""

    briefs: tuple[Brief, ...]

    def as_json(self) -> str:
        """``{"codecs": [{name, is_enabled, is_mapped, …}]}``."""
        return json.dumps({"codecs": [_brief(one) for one in self.briefs]}, ensure_ascii=False)

    def as_text(self) -> str:
        """A line a codec."""
        return "\n".join(map(_line, self.briefs)) or "no codecs: satomori codecs import PATH"


@dataclass(frozen=True, slots=True)
class Shown:
    """One codec."""

    record: Record

    def as_json(self) -> str:
        """Everything but the script."""
        one = self.record
        more = {
            "source": one.source,
            "models": [model.model_name or model.model for model in one.models],
            "failures": list(one.failures),
            "mapping": None if one.mapping is None else to_json(one.mapping),
            "unmapped": list(unmapped(one)),
            "examples": list(one.examples),
        }
        return json.dumps(_brief(one) | more, ensure_ascii=False)

    def as_text(self) -> str:
        """For people."""
        one = self.record
        lines = [_line(one), f"from {one.source}"]
        lines += ["for " + ", ".join(sorted({m.model_name or m.model for m in one.models}))] * bool(
            one.models
        )
        lines += [f"fails: {f['call']} {f['example']!r}: {f['problem']}" for f in one.failures]
        lines += [
            f"says: {json.dumps(e['data'], ensure_ascii=False)[:400]}" for e in one.examples[:3]
        ]
        state = "confirmed" if one.is_mapping_confirmed else "proposed, not confirmed"
        if one.mapping is None:
            lines.append("no mapping")
        else:
            lines += [f"mapping ({state}):", *(f"  {text}" for text in to_text(one.mapping))]
        if left_out := unmapped(one):
            lines.append(f"could be read too: {', '.join(left_out)}")
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Proposal:
    """A guess, and whether it holds now."""

    codec: str
    guess: Guess
    is_accepted: bool

    def as_json(self) -> str:
        """``{codec, is_accepted, mapping, lines: [{path, quantity, scale, offset, reason}]}``."""
        lines = [
            {
                "path": line.entry.path,
                "quantity": line.entry.quantity,
                "scale": line.entry.scale,
                "offset": line.entry.offset,
                "reason": line.reason,
            }
            for line in self.guess.lines
        ]
        return json.dumps(
            {
                "codec": self.codec,
                "is_accepted": self.is_accepted,
                "mapping": to_json(self.guess.mapping),
                "lines": lines,
                "unread": list(self.guess.unread),
            },
            ensure_ascii=False,
        )

    def as_text(self) -> str:
        """For people: a line an entry with its reason, and what is left out."""
        mapping = self.guess.mapping
        reasons = {line.entry: line.reason for line in self.guess.lines}
        texts = [
            f"  {text}" for text in to_text(QuantityMapping((), mapping.uses_normalized,
                                                            distrusts=mapping.distrusts))
        ]  # fmt: skip
        texts += [
            f"  {to_text(QuantityMapping((entry,)))[0]}\n      {reasons[entry]}"
            for entry in mapping.entries
        ]
        lines = [f"{self.codec}:", *(texts or ["  nothing in it is known"])]
        if self.guess.unread:
            lines.append(f"  left out: {', '.join(self.guess.unread[:40])}")
        if texts:
            lines.append("confirmed" if self.is_accepted else "confirm with --accept")
        return "\n".join(lines)


def listing(database: Engine) -> Listing:
    """All codecs."""
    return Listing(codec_store.briefs(database))


def shown(database: Engine, name: str) -> Shown:
    """One codec. Raises UnknownCodec."""
    return Shown(codec_store.record(database, name))


def enable(database: Engine, name: str, is_enabled: bool) -> str:
    """Enable or disable. Raises UnknownCodec."""
    one = codecs_admin.set_enabled(
        database, name, is_enabled, person=None, by=codecs_admin.COMMAND_LINE, now=now_ms()
    )
    if is_enabled and not one.is_mapping_confirmed:
        return f"{name}: enabled; confirm how it is read: satomori codecs guess {name}"
    return f"{name}: {'enabled' if is_enabled else 'disabled'}"


def map_codec(database: Engine, name: str, texts: Sequence[str]) -> str:
    """Confirm a mapping. Raises UnknownCodec, MappingError."""
    mapping = from_text(texts)
    _confirm(database, name, mapping)
    return "\n".join((f"{name}:", *(f"  {text}" for text in to_text(mapping))))


def propose(database: Engine, name: str, kind: str, *, is_accepted: bool) -> Proposal:
    """Guess a mapping, and confirm it if it is accepted. Raises UnknownCodec, MappingError."""
    found = codecs_admin.proposal(database, name, kind)
    if is_accepted and not (found.mapping.entries or found.mapping.uses_normalized):
        raise MappingError(f"{name}: nothing to accept; satomori codecs map {name} …")
    if is_accepted:
        _confirm(database, name, found.mapping)
    return Proposal(name, found, is_accepted)


def _confirm(database: Engine, name: str, mapping: QuantityMapping) -> None:
    codecs_admin.set_mapping(
        database, name, mapping, person=None, by=codecs_admin.COMMAND_LINE, now=now_ms()
    )


def _brief(one: Record | Brief) -> dict[str, Any]:
    return {
        "name": one.name,
        "is_enabled": one.is_enabled,
        "is_mapped": one.is_mapping_confirmed,
        "uplink_vectors": one.uplink_vectors,
        "uplink_passed": one.uplink_passed,
        "downlink_vectors": one.downlink_vectors,
        "downlink_passed": one.downlink_passed,
        "may_reuse": one.may_reuse,
    }


def _line(one: Record | Brief) -> str:
    state = "enabled" if one.is_enabled else "disabled"
    mapped = "mapped" if one.is_mapping_confirmed else "not mapped"
    passed = one.uplink_passed + one.downlink_passed
    count = one.uplink_vectors + one.downlink_vectors
    return f"{one.name:<40} {state:<9} {mapped:<11} {passed} of {count} examples pass"
