"""Metrics: what is told is in the table, the table is in the docs, and the text is strict."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from dashboards import metrics_table
from dashboards.metrics import metrics_text
from dashboards.metrics_table import METRICS
from dashboards.process_load import load_of
from dashboards.processes import Status, clock
from devices.frames import Lane
from devices.histogram import Histogram
from devices.outcomes import Rejected
from ingest.intake_status import IntakeStatus
from ingest.messages import Tally
from ingest.mqtt import Link
from tests.conftest import ROOT

NOW = 1_790_000_000_000
_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\\\|\\"|\\n)*)"')
_UNESCAPED = {r"\\": "\\", r"\"": '"', r"\n": "\n"}


@dataclass
class Family:
    """One metric as it was read: its type, and the samples by full name and labels."""

    type: str
    samples: dict[tuple[str, frozenset[tuple[str, str]]], float] = field(default_factory=dict)

    def value(self, **labels: str) -> float:
        (name,) = {name for name, _ in self.samples}
        return self.samples[name, frozenset(labels.items())]


def parsed(text: str) -> dict[str, Family]:
    """A strict reading of the text format 0.0.4; fails where a lenient reader would guess.

    https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format: lines end in a
    line feed; HELP and TYPE once a metric, before its samples; all lines of a metric in one group;
    labels quoted and escaped, no sample twice; a histogram's buckets are cumulative, rising, end
    with +Inf, which equals its _count, and it has a _sum.
    """
    assert text.endswith("\n")
    families: dict[str, Family] = {}
    helped, current = "", ""
    for line in text[:-1].split("\n"):
        if match := re.fullmatch(rf"# HELP ({_NAME}) (\S.*)", line):
            helped = match[1]
            assert helped not in families, f"{helped} has two groups"
        elif match := re.fullmatch(rf"# TYPE ({_NAME}) (counter|gauge|histogram)", line):
            current = match[1]
            assert current == helped, "HELP and TYPE stand together"
            families[current] = Family(match[2])
        else:
            _read_sample(line, current, families[current])
    for name, family in families.items():
        assert family.samples, f"{name} has no sample"
        if family.type == "histogram":
            _check_histogram(name, family)
    return families


def _read_sample(line: str, name: str, family: Family) -> None:
    match = re.fullmatch(rf"({_NAME})(?:\{{(.*)\}})? (\S+)", line)
    assert match, line
    endings = ("_bucket", "_sum", "_count") if family.type == "histogram" else ("",)
    assert match[1] in {name + ending for ending in endings}, line
    labels: dict[str, str] = {}
    rest = match[2] or ""
    while rest:
        label = _LABEL.match(rest)
        assert label, line
        assert label[1] not in labels, line
        labels[label[1]] = re.sub(r"\\.", lambda m: _UNESCAPED[m[0]], label[2])
        rest = rest[label.end() :]
        assert rest == "" or rest.startswith(","), line
        rest = rest.removeprefix(",")
    value = float(match[3])
    assert not math.isnan(value)
    assert family.type == "gauge" or value >= 0, line
    key = (match[1], frozenset(labels.items()))
    assert key not in family.samples, f"twice: {line}"
    family.samples[key] = value


def _check_histogram(name: str, family: Family) -> None:
    series: dict[frozenset[tuple[str, str]], dict[float, float]] = {}
    for (sample, labels), value in family.samples.items():
        if sample == f"{name}_bucket":
            own = frozenset(pair for pair in labels if pair[0] != "le")
            series.setdefault(own, {})[float(dict(labels)["le"])] = value
    for own, buckets in series.items():
        counts = [buckets[bound] for bound in sorted(buckets)]
        assert counts == sorted(counts)
        assert buckets[math.inf] == family.samples[f"{name}_count", own]
        assert (f"{name}_sum", own) in family.samples


def intake_fields() -> dict[str, Any]:
    """What intake writes after a few messages, as it comes back from the file."""
    status = IntakeStatus()
    tally = Tally(messages=7, readings=21, repeated=1)
    tally.rejected = [("a/b", Rejected('bad "json"\\', "x"))] * 2
    status.note(Lane.URGENT, tally, {}, NOW)
    counts = status.lanes[Lane.URGENT]
    counts.commit_lag.observe([0.004, 0.02, 700.0])
    counts.last_tick_at = NOW
    links = [Link("satomori-intake-urgent-0", is_up=True, since_at=NOW, connects=2)]
    found: dict[str, Any] = json.loads(json.dumps(status.fields(NOW, links)))
    return found


def families(**files: Mapping[str, Any]) -> dict[str, Family]:
    statuses = {name: Status(NOW, fields) for name, fields in files.items()}
    return parsed(metrics_text(statuses, clock(statuses, NOW), is_ready=False))


def test_the_text_is_what_the_format_says() -> None:
    """Typed, helped, grouped; counters end in _total; a quote in a label is no way out of it."""
    found = families(intake=intake_fields())
    assert found["satomori_intake_messages_total"].value(lane="urgent") == 7
    assert found["satomori_intake_messages_total"].type == "counter"
    rejected = found["satomori_intake_rejected_messages_total"]
    assert rejected.value(lane="urgent", reason='bad "json"\\') == 2
    link = {"connection": "satomori-intake-urgent-0"}
    assert found["satomori_intake_connects_total"].value(**link) == 2
    assert found["satomori_intake_connection_up"].value(**link) == 1
    assert found["satomori_ready"].value() == 0


def test_a_lag_is_a_histogram_in_seconds_that_can_be_summed_up() -> None:
    """Buckets are cumulative and end with +Inf, whatever the lane."""
    lag = families(intake=intake_fields())["satomori_intake_commit_lag_seconds"]
    name, lane = "satomori_intake_commit_lag_seconds", ("lane", "urgent")
    assert lag.samples[f"{name}_bucket", frozenset({lane, ("le", "0.005")})] == 1
    assert lag.samples[f"{name}_bucket", frozenset({lane, ("le", "300")})] == 2
    assert lag.samples[f"{name}_count", frozenset({lane})] == 3
    assert lag.samples[f"{name}_sum", frozenset({lane})] == pytest.approx(700.024)


def test_nothing_known_is_no_wrong_zero() -> None:
    """Without status files only what is known stands there: nothing is up."""
    found = families()
    assert found["satomori_process_up"].value(process="intake") == 0
    assert "satomori_intake_messages_total" not in found


@pytest.mark.parametrize(
    "odd", [{"lanes": 3}, {"lanes": {"urgent": []}}, {"connections": [1, {}]}, {"broker": None}]
)
def test_a_status_of_another_shape_breaks_no_scrape(odd: dict[str, Any]) -> None:
    """An older or newer process writes what it likes."""
    assert families(intake=odd, alerts=odd, web=odd, system=odd)["satomori_broker_up"].value() == 0


def test_every_metric_has_a_good_name() -> None:
    """Prometheus' conventions: a counter ends in _total, nothing else does, units are base ones."""
    names = [metric.name for metric in METRICS]
    assert len(names) == len(set(names))
    for metric in METRICS:
        assert re.fullmatch(r"satomori(_[a-z]+)+", metric.name)
        assert (metric.type == "counter") == metric.name.endswith("_total"), metric.name
        assert metric.type != "histogram" or metric.name.endswith("_seconds")
        assert not re.search(r"_(ms|kb|mb|minutes)(_|$)", metric.name)
        assert metric.help.endswith(".")
        assert metric.source.count("*") == (len(metric.labels) if metric.source else 0)


def test_the_page_in_the_docs_is_the_table() -> None:
    """docs/metrics.md: python -m dashboards.metrics_table > docs/metrics.md."""
    assert (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8") == metrics_table.document()


def test_examples_in_the_docs_name_metrics_that_exist() -> None:
    """An alerting rule on a name that nobody gives would never fire."""
    known = {metric.name for metric in METRICS}
    known |= {f"{m.name}_bucket" for m in METRICS if m.type == "histogram"}
    pages = [ROOT / "docs" / "operation.md", ROOT / "docs" / "prometheus-rules.yml"]
    named = {name for page in pages for name in re.findall(r"satomori_[a-z_]+\b", page.read_text())}
    assert named - known - {"satomori_personal"} == set()
    assert len(named) > 10


def test_the_load_of_a_process_is_the_kernels() -> None:
    """Memory and CPU of a process that worked, and nothing of one that is gone."""
    own = load_of(os.getpid())
    assert own is not None
    assert own.memory_bytes > 10 << 20
    assert own.cpu_s > 0
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    assert load_of(gone.pid) is None


def test_a_name_with_a_bracket_does_not_shift_the_fields(tmp_path: Path) -> None:
    """proc(5): the name stands in brackets and may hold brackets and blanks."""
    odd = tmp_path / "x) S 1 2 ("
    odd.symlink_to("/bin/sleep")
    process = subprocess.Popen([odd, "30"])
    try:
        load = load_of(process.pid)
        assert load is not None
        assert load.started_at_s > 1_500_000_000
    finally:
        process.kill()
        process.wait()


def test_histograms_of_all_processes_have_the_same_fields() -> None:
    """One reader for all: bounds, counts, sum."""
    assert set(Histogram((1.0,)).fields()) == {"bounds_s", "counts", "sum_s"}
