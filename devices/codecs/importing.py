"""Takes codecs from a folder: tries each on its own examples and decides whether it may decode.

::

    find ─▶ try_one ─▶ may_reuse ─▶ Found (what was shown of it) ─▶ decided(found, kept) ─▶ Decision

Running is in `examined`; `decided` is a pure function of what was found and what was kept before.
Refuses to know who asks and where codecs are kept.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from devices.codecs.codec import Answer
from devices.codecs.codec_store import Record
from devices.codecs.guess import guess
from devices.codecs.mapping import NORMALIZED, QuantityMapping, to_samples
from devices.codecs.models import Model, models_in
from devices.codecs.pool import CodecPool
from devices.codecs.repositories import Published, Unreadable, find
from devices.codecs.reuse import may_reuse
from devices.codecs.vectors import Trial, try_one

MAX_CODECS: Final = 20_000
"""Most codecs of one import; the published repositories have some hundreds."""
MAX_FAILURES: Final = 20
MAX_EXAMPLES: Final = 12
MAX_EXAMPLE_CHARS: Final = 8_000
MAX_PROBLEM_CHARS: Final = 300


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of a codec, in a word (``new``, ``same``, ``changed``) and in a sentence."""

    record: Record
    word: str
    text: str

    @property
    def unmapped(self) -> tuple[str, ...]:
        """Quantities that could be read from it and are not, as far as can be guessed."""
        return unmapped(self.record)


async def examined(path: Path, only: str, now: int) -> AsyncIterator[Record | Unreadable]:
    """Each codec at ``path`` with all that was shown of it, one after another, not yet decided.

    ``only`` is a vendor (the part of the name before the slash), "" for all. Raises
    FileNotFoundError where there is no codec at all.
    """
    models: dict[Path, Mapping[str, tuple[Model, ...]]] = {}
    count = 0
    async with CodecPool(workers=1) as pool:  # what is kept between two calls meets both
        for one in find(path):
            if isinstance(one, Unreadable):
                if not only or one.file.parent.name == only:
                    yield one
                continue
            if (only and _vendor(one) != only) or count >= MAX_CODECS:
                continue
            count += 1
            folder = _vendor_folder(one)
            models.setdefault(folder, models_in(folder))
            trial = await try_one(one, pool)
            is_reusable = trial.has_passed and await may_reuse(trial.published, pool)
            yield _found(trial, is_reusable, _models_of(one, models[folder]), now)


def decided(found: Record, kept: Record | None) -> Decision:
    """Whether a codec may decode from now on, and whether its mapping still holds.

    ::

        new       enabled if it has examples and all hold
        same      state and mapping stay; a person's decision stays
        changed   enabled only if all examples hold (and no person had disabled it);
                  a confirmed mapping stays if it finds in the new examples all it found in the old
    """
    if kept is None:
        return _new(found)
    if kept.digest == found.digest:
        return _same(found, kept)
    return _changed(found, kept)


def _new(found: Record) -> Decision:
    good = _is_good(found)
    record = replace(found, is_enabled=good)
    return Decision(record, "new", "enabled" if good else f"disabled: {_why_not(found)}")


def _same(found: Record, kept: Record) -> Decision:
    record = _with_state(found, kept)
    if kept.decided_by or kept.is_enabled is _is_good(found):
        return Decision(record, "same", "enabled" if kept.is_enabled else "disabled")
    good = _is_good(found)  # its examples were mended, or have come to fail
    record = replace(record, is_enabled=good, decided_at=found.decided_at)
    text = "enabled: its examples hold now" if good else f"disabled: {_why_not(found)}"
    return Decision(record, "same", text)


def _changed(found: Record, kept: Record) -> Decision:
    record = _with_state(found, kept)
    good = _is_good(found)
    was_refused = bool(kept.decided_by) and not kept.is_enabled
    if not good:
        record = replace(record, is_enabled=False, decided_by="", decided_at=found.decided_at)
        text = f"script replaced, disabled: {_why_not(found)}"
    elif was_refused:
        text = f"script replaced, still disabled by {kept.decided_by}"
    else:
        record = replace(record, is_enabled=True, decided_by="", decided_at=found.decided_at)
        text = "script replaced, enabled"
    if kept.is_mapping_confirmed and not _still_holds(kept, found):
        record = replace(record, is_mapping_confirmed=False)
        text += "; its mapping does not fit any more, confirm it anew"
    return Decision(record, "changed", text)


def _with_state(found: Record, kept: Record) -> Record:
    """What was found, with the decisions of before."""
    has_mapping = kept.is_mapping_confirmed or found.mapping is None
    mapped = kept if has_mapping else found
    return replace(
        found,
        models=found.models or kept.models,
        is_enabled=kept.is_enabled,
        decided_by=kept.decided_by,
        decided_at=kept.decided_at,
        mapping=mapped.mapping,
        is_mapping_confirmed=mapped.is_mapping_confirmed,
        mapped_by=mapped.mapped_by,
        mapped_at=mapped.mapped_at,
    )


def _is_good(found: Record) -> bool:
    return found.has_examples and found.has_passed


def _why_not(found: Record) -> str:
    if not found.has_examples and found.has_passed:
        return "it has no examples"
    first = found.failures[0]
    more = f" (and {len(found.failures) - 1} more)" if len(found.failures) > 1 else ""
    return f"{first['call']} {first['example']!r}: {first['problem']}{more}"


def _still_holds(kept: Record, found: Record) -> bool:
    """Whether the mapping gives from the new examples every quantity that it gave from the old."""
    return _quantities(kept.mapping, kept) <= _quantities(kept.mapping, found)


def _quantities(mapping: QuantityMapping | None, record: Record) -> set[str]:
    samples = (
        sample
        for answer in answers_of(record)
        for sample in to_samples(answer, mapping or QuantityMapping(), record.imported_at)
    )
    return {quantity for sample in samples for quantity in sample.values}


def unmapped(record: Record) -> tuple[str, ...]:
    """Quantities that could be read from a codec and are not, as far as can be guessed."""
    proposed = {entry.quantity for entry in guess(answers_of(record)).mapping.entries}
    is_read = _quantities(record.mapping, record) if record.is_mapping_confirmed else set()
    return tuple(sorted(proposed - is_read))


def answers_of(record: Record) -> tuple[Answer, ...]:
    """What the codec said to its examples, as far as that is kept."""
    return tuple(
        Answer(
            data=e.get("data"), normalized=tuple(e["normalized"]) if e.get("normalized") else None
        )
        for e in record.examples
    )


# -- what was shown


def _found(trial: Trial, is_reusable: bool, models: tuple[Model, ...], now: int) -> Record:
    published = trial.published
    uplinks, downlinks = trial.count(is_uplink=True), trial.count(is_uplink=False)
    mapping = _own_mapping(trial.answers)
    return Record(
        name=published.codec.name,
        script=published.codec.script,
        digest=_digest(published.codec.script),
        source=_source(published),
        vendor=_vendor(published),
        models=models,
        imported_at=now,
        uplink_vectors=uplinks[0],
        uplink_passed=uplinks[1],
        downlink_vectors=downlinks[0],
        downlink_passed=downlinks[1],
        failures=_failures(trial),
        examples=_examples(trial.answers),
        may_reuse=is_reusable,
        is_enabled=False,
        decided_by="",
        decided_at=now,
        mapping=mapping,
        is_mapping_confirmed=mapping is not None and mapping == NORMALIZED,
        mapped_by="",
        mapped_at=now if mapping is not None else None,
    )


def _own_mapping(answers: Sequence[Answer]) -> QuantityMapping | None:
    """What a trustworthy ``normalizeUplink`` says needs no confirmation; all else is a proposal."""
    proposed = guess(answers).mapping
    if proposed.uses_normalized and not proposed.distrusts:
        return NORMALIZED
    return proposed if proposed.entries or proposed.uses_normalized else None


def _failures(trial: Trial) -> tuple[Mapping[str, str], ...]:
    return tuple(
        {
            "call": miss.call.value,
            "example": miss.title[:MAX_PROBLEM_CHARS],
            "problem": miss.problem[:MAX_PROBLEM_CHARS],
        }
        for miss in trial.misses[:MAX_FAILURES]
    )


def _examples(answers: Sequence[Answer]) -> tuple[Mapping[str, Any], ...]:
    """What it said, as far as that is short: for proposals, and for people who map."""
    kept = []
    for answer in answers:
        said = {"data": answer.data, "normalized": list(answer.normalized or ())}
        try:
            text = json.dumps(said, allow_nan=False)
        except (ValueError, RecursionError):
            continue
        if len(text) <= MAX_EXAMPLE_CHARS and said not in kept:
            kept.append(said)
    return tuple(kept[:MAX_EXAMPLES])


def _digest(script: str) -> str:
    return hashlib.blake2b(script.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _vendor_folder(published: Published) -> Path:
    folder = published.file.parent
    return folder.parent if folder.name == "codecs" else folder


def _vendor(published: Published) -> str:
    vendor, slash, _ = published.codec.name.partition("/")
    return vendor if slash else ""


def _source(published: Published) -> str:
    """The layout, and the folder that it was read from."""
    is_chirpstack = published.file.parent.name == "codecs"
    layout = "chirpstack-device-profiles" if is_chirpstack else "lorawan-devices"
    return f"{layout}: {published.file}"


def _models_of(published: Published, models: Mapping[str, tuple[Model, ...]]) -> tuple[Model, ...]:
    """By the name of the codec's own file (the second part of its name)."""
    return models.get(published.codec.name.split("/")[1:2][0], ()) if _vendor(published) else ()
