"""Figures for Prometheus, in its text format, from status files and our own counters.

Every number of a status file becomes ``satomori_{process}_{path}``; levels of the file that name
lanes, reasons and the like become labels. Refuses to know what the figures mean.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from dashboards.processes import Clock, Status
from devices.frames import Lane

_NOT_IN_NAME: Final = re.compile(r"[^a-z0-9_]+")
_LANES: Final = frozenset(lane.value for lane in Lane)
_LABELLED: Final[Mapping[str, str]] = {
    "rejected": "reason",
    "remarks": "reason",
    "flags": "flag",
    "broker": "connection",
    "deliveries": "state",
    "troubles": "what",
    "children": "process",
    "counts": "what",
}
Sample = tuple[str, tuple[tuple[str, str], ...], float]


def metrics_text(statuses: Mapping[str, Status], seen: Clock) -> str:
    """All figures, one line each, grouped by name as the format wants it."""
    samples = list(_clock_samples(seen))
    for process, status in statuses.items():
        samples += _samples(f"satomori_{process}", status.fields, ())
    lines: list[str] = []
    last = ""
    for name, labels, value in sorted(samples):
        if name != last:
            lines.append(f"# TYPE {name} untyped")
            last = name
        lines.append(f"{name}{_labels(labels)} {value!r}")
    return "\n".join(lines) + "\n"


def _clock_samples(seen: Clock) -> Iterator[Sample]:
    yield "satomori_broker_up", (), float(seen.broker == "up")
    for process, report in seen.processes.items():
        yield "satomori_process_up", (("process", process),), float(report.state == "up")


def _samples(
    name: str, fields: Mapping[str, Any], labels: tuple[tuple[str, str], ...]
) -> Iterator[Sample]:
    for key, value in fields.items():
        path, deeper = f"{name}_{_NOT_IN_NAME.sub('_', key.lower())}", labels
        if key in _LANES:
            path, deeper = name, (*labels, ("lane", key))
        if isinstance(value, Mapping) and key in _LABELLED:
            for word, figure in value.items():
                yield from _one(path, (*deeper, (_LABELLED[key], word)), figure)
        elif isinstance(value, Mapping):
            yield from _samples(path, value, deeper)
        else:
            yield from _one(path, deeper, value)


def _one(name: str, labels: tuple[tuple[str, str], ...], value: object) -> Iterator[Sample]:
    if isinstance(value, (bool, int, float)):
        yield name, labels, float(value)
    elif value in ("up", "down"):
        yield name, labels, float(value == "up")


def _labels(labels: tuple[tuple[str, str], ...]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{key}="{_escaped(value)}"' for key, value in labels) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
