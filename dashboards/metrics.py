"""Figures for Prometheus in its text format, from status files and from the kernel.

What is told is ``metrics_table``; this writes it. A status that lacks a figure leaves it out: no
figure is better than a wrong zero. Refuses to know what the figures mean.

Text format: https://prometheus.io/docs/instrumenting/exposition_formats/ (version 0.0.4).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate
from typing import Any, Final

from dashboards.metrics_table import METRICS, Metric
from dashboards.process_load import load_of
from dashboards.processes import OPTIONAL, Clock, Status, process_report

Labels = tuple[tuple[str, str], ...]
Found = tuple[Labels, object]

_WORDS: Final[Mapping[object, float]] = {"up": 1.0, "down": 0.0}


def metrics_text(statuses: Mapping[str, Status], seen: Clock, *, is_ready: bool) -> str:
    """All figures of the table that there are, in its order."""
    made = _made_here(statuses, seen, is_ready=is_ready)
    files = {process: status.fields for process, status in statuses.items()}
    lines: list[str] = []
    for metric in METRICS:
        found = _in_files(metric, files) if metric.source else made[metric.name]
        samples = [line for labels, value in found for line in _samples(metric, labels, value)]
        if samples:
            lines += (f"# HELP {metric.name} {_help(metric.help)}",)
            lines += (f"# TYPE {metric.name} {metric.type}", *samples)
    return "\n".join(lines) + "\n"


def _made_here(
    statuses: Mapping[str, Status], seen: Clock, *, is_ready: bool
) -> Mapping[str, list[Found]]:
    made: dict[str, list[Found]] = defaultdict(list)
    made["satomori_ready"].append(((), is_ready))
    made["satomori_broker_up"].append(((), seen.broker == "up"))
    for process, report in seen.processes.items():
        made["satomori_process_up"].append(((("process", process),), report.state == "up"))
    for process in OPTIONAL:
        if process in statuses:
            is_up = process_report(statuses[process], seen.at).state == "up"
            made["satomori_process_up"].append(((("process", process),), is_up))
    for lane, said in seen.lanes.items():
        for step, lag_s in said.steps.items():
            labels: Labels = (("lane", lane), ("step", step))
            made["satomori_lane_behind"].append((labels, step in said.behind))
            made["satomori_lane_lag_seconds"].append((labels, lag_s))
    for process, pid in _pids(statuses):
        if load := load_of(pid):
            labels = (("process", process),)
            made["satomori_process_resident_memory_bytes"].append((labels, load.memory_bytes))
            made["satomori_process_cpu_seconds_total"].append((labels, load.cpu_s))
            made["satomori_process_start_time_seconds"].append((labels, load.started_at_s))
    return made


def _pids(statuses: Mapping[str, Status]) -> Iterator[tuple[str, int]]:
    """Our processes as the supervisor knows them (the broker among them), else by themselves."""
    system = statuses.get("system")
    children = system.fields.get("children") if system else None
    known = dict(children) if isinstance(children, Mapping) else {}
    for process, status in statuses.items():
        known.setdefault(process, status.fields.get("pid"))
    yield from ((name, pid) for name, pid in sorted(known.items()) if isinstance(pid, int))


def _in_files(metric: Metric, files: Mapping[str, Any]) -> Iterator[Found]:
    for words, value in _walk(files, metric.source.split(".")):
        yield tuple(zip(metric.labels, words, strict=True)), value


def _walk(value: object, path: list[str]) -> Iterator[tuple[tuple[str, ...], object]]:
    """All values at the path, with the words that stood for its stars."""
    if not path:
        yield (), value
        return
    key, rest = path[0], path[1:]
    if key != "*":
        if isinstance(value, Mapping) and key in value:
            yield from _walk(value[key], rest)
        return
    for word, deeper in _entries(value):
        for words, found in _walk(deeper, rest):
            yield (word, *words), found


def _entries(value: object) -> Iterable[tuple[str, object]]:
    if isinstance(value, Mapping):
        return [(str(key), deeper) for key, deeper in value.items()]
    if isinstance(value, list):
        return [(str(one.get("name", "")), one) for one in value if isinstance(one, Mapping)]
    return []


def _samples(metric: Metric, labels: Labels, value: object) -> Iterator[str]:
    if metric.type == "histogram":
        yield from _histogram(metric.name, labels, value)
    elif (figure := _figure(metric, value)) is not None:
        yield f"{metric.name}{_labels(labels)} {_number(figure)}"


def _figure(metric: Metric, value: object) -> float | None:
    if isinstance(value, str):
        is_trouble = metric.source.endswith("troubles.*")  # its text is there while it is
        return _WORDS.get(value, 1.0 if is_trouble else None)
    return float(value) * metric.scale if isinstance(value, (bool, int, float)) else None


def _histogram(name: str, labels: Labels, value: object) -> Iterator[str]:
    """``devices.histogram``'s fields as cumulative buckets."""
    if not isinstance(value, Mapping) or not value:
        return
    bounds = [_number(bound) for bound in value["bounds_s"]] + ["+Inf"]
    reached = list(accumulate(value["counts"]))
    for bound, count in zip(bounds, reached, strict=True):
        yield f"{name}_bucket{_labels((*labels, ('le', bound)))} {count}"
    yield f"{name}_sum{_labels(labels)} {_number(value['sum_s'])}"
    yield f"{name}_count{_labels(labels)} {reached[-1]}"


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(round(value, 9))


def _labels(labels: Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{key}="{_escaped(value)}"' for key, value in labels) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _help(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n")
