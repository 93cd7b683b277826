"""How often `devices.codecs.guess` is right: ``python -m bench.codec_guesses CHECKOUT [--json]``.

Two measures on the examples of a public checkout. *Labelled*: fields of temperature, humidity,
battery, distance or level, and volume that we read ourselves in two samples of codecs
(``bench/codec_labels.json``: codec → quantity → path, scale, offset): those that were *seen* while
the rules were written, and a *fresh* one that was drawn afterwards. *Normalized*: where a codec has
``normalizeUplink``, what that says is the truth that the guess from the raw output must meet.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from math import isclose
from pathlib import Path
from typing import Any, Final

from devices.codecs.codec import Answer
from devices.codecs.guess import guess
from devices.codecs.mapping import NORMALIZED, QuantityMapping, to_samples
from devices.codecs.pool import CodecPool
from devices.codecs.repositories import Published, find
from devices.codecs.vectors import try_one

LABELS: Final = Path(__file__).with_name("codec_labels.json")
FAMILIES: Final = {
    "temperature": ("air.temperature", "soil.temperature", "water.temperature"),
    "humidity": ("air.relativeHumidity", "soil.moisture"),
    "battery": ("battery.voltage", "battery.level"),
    "distance": ("water.distance", "water.level", "flood.depth"),
    "volume": ("water.total", "water.reverseTotal", "pulse.total"),
}
_FAMILY_OF: Final = {quantity: name for name, of in FAMILIES.items() for quantity in of}


@dataclass(slots=True)
class Tally:
    """Fields: ``right`` as they should be, ``wrong`` as something else or with another unit,
    ``missed`` not proposed at all; ``invented`` are proposals where there is no such field."""

    right: int = 0
    wrong: int = 0
    missed: int = 0
    invented: int = 0


@dataclass(slots=True)
class Result:
    """Tallies by family of the labelled fields, and by quantity of normalized ones."""

    codecs: int = 0
    seen_codecs: int = 0
    fresh_codecs: int = 0
    normalized_codecs: int = 0
    seen: dict[str, Tally] = field(default_factory=dict)
    fresh: dict[str, Tally] = field(default_factory=dict)
    normalized: dict[str, Tally] = field(default_factory=dict)

    def as_json(self) -> str:
        """One JSON object."""
        return json.dumps(asdict(self))

    def as_text(self) -> str:
        """A line a family."""
        lines = [f"{self.codecs} codecs whose examples hold"]
        for word, count, tallies in (
            ("seen", self.seen_codecs, self.seen), ("fresh", self.fresh_codecs, self.fresh)
        ):  # fmt: skip
            lines.append(f"{count} codecs of the {word} sample")
            lines += [_line(name, tally) for name, tally in tallies.items()]
            lines.append(_line("all", _sum(tallies)))
        lines.append(f"{self.normalized_codecs} codecs with normalizeUplink")
        lines += [_line(name, tally) for name, tally in sorted(self.normalized.items())]
        return "\n".join(lines)


Labels = Mapping[str, Mapping[str, Mapping[str, Sequence[Any]]]]


async def run(checkout: Path, labels: Labels) -> Result:
    """Measure. Raises FileNotFoundError where there is no codec."""
    seen, fresh = ({name: Tally() for name in FAMILIES} for _ in range(2))
    result = Result(seen=seen, fresh=fresh)
    async with CodecPool(workers=1) as pool:
        for published in find(checkout):
            if not isinstance(published, Published):
                continue
            trial = await try_one(published, pool)
            answers = trial.answers
            if not answers or not trial.has_passed:  # what it says is not what its maker means
                continue
            result.codecs += 1
            raw = [Answer(data=answer.data) for answer in answers]
            mapping = guess(raw).mapping
            if own := labels["seen"].get(published.codec.name):
                result.seen_codecs += 1
                _tally_labels(result.seen, mapping, own)
            if own := labels["fresh"].get(published.codec.name):
                result.fresh_codecs += 1
                _tally_labels(result.fresh, mapping, own)
            if any(answer.normalized for answer in answers):
                result.normalized_codecs += 1
                _tally_normalized(result.normalized, mapping, answers)
    return result


def _tally_labels(
    tallies: Mapping[str, Tally],
    mapping: QuantityMapping,
    labels: Mapping[str, Sequence[Any]],
) -> None:
    proposed = {entry.quantity: entry for entry in mapping.entries}
    paths = {entry.path for entry in mapping.entries}
    for quantity, (path, scale, offset) in labels.items():
        tally, entry = tallies[_FAMILY_OF[quantity]], proposed.get(quantity)
        is_right = entry is not None and entry.path == path
        is_right = is_right and entry is not None and isclose(entry.scale, scale, rel_tol=1e-9)
        if is_right and entry is not None and isclose(entry.offset, offset, abs_tol=1e-9):
            tally.right += 1
        elif entry is not None or path in paths:
            tally.wrong += 1
        else:
            tally.missed += 1
    labelled_paths = {path for path, _, _ in labels.values()}
    for entry in mapping.entries:
        family = _FAMILY_OF.get(entry.quantity)
        if family and entry.quantity not in labels and entry.path not in labelled_paths:
            tallies[family].invented += 1


def _tally_normalized(
    tallies: dict[str, Tally], mapping: QuantityMapping, answers: Sequence[Answer]
) -> None:
    """By value, over all examples: a quantity is right if it is in each example that has it."""
    verdicts: dict[str, list[bool | None]] = {}
    for answer in answers:
        said = to_samples(Answer(data=answer.data), mapping, 0)
        found = dict(said[-1].values) if said else {}
        for sample in to_samples(Answer(normalized=answer.normalized), NORMALIZED, 0):
            for quantity, value in sample.values.items():
                ours = found.get(quantity)
                same = None if ours is None else isclose(ours, value, rel_tol=1e-6, abs_tol=1e-9)
                verdicts.setdefault(quantity, []).append(same)
    for quantity, seen in verdicts.items():
        tally = tallies.setdefault(quantity, Tally())
        if False in seen:
            tally.wrong += 1
        elif None in seen:
            tally.missed += 1
        else:
            tally.right += 1


def _sum(tallies: Mapping[str, Tally]) -> Tally:
    all_of = [asdict(tally) for tally in tallies.values()]
    return Tally(*(sum(one[key] for one in all_of) for key in Tally.__slots__))


def _line(name: str, tally: Tally) -> str:
    count = tally.right + tally.wrong + tally.missed
    share = f"{tally.right / count:.1%}" if count else "-"
    return (
        f"{name:<22} {tally.right:>4} of {count:<4} right ({share}), {tally.wrong} wrong, "
        f"{tally.missed} missed, {tally.invented} invented"
    )


def main() -> None:
    """Print the figures of the checkout that is named in the first argument."""
    labels = json.loads(LABELS.read_text(encoding="utf-8"))
    result = asyncio.run(run(Path(sys.argv[1]), labels))
    print(result.as_json() if "--json" in sys.argv else result.as_text())


if __name__ == "__main__":
    main()
