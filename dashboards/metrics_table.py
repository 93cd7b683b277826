"""Every figure that /metrics gives: name, type, unit and meaning, and where in a status file it is.

``docs/metrics.md`` is made of this table (``python -m dashboards.metrics_table``), and a test holds
the two together. Names follow Prometheus: base units, counters end in ``_total``. Refuses to know
how status files are read and how the text format is written.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Final, Literal

MetricType = Literal["counter", "gauge", "histogram"]


@dataclass(frozen=True, slots=True)
class Metric:
    """One figure.

    ``source`` is a path in the status file of a process, levels between dots: ``*`` takes all keys
    of an object, or all entries of a list by their ``name``, as the values of ``labels`` in order.
    ``scale`` turns the file's unit into the metric's. Without ``source`` it is made elsewhere.
    """

    name: str
    type: MetricType
    help: str
    source: str = ""
    labels: tuple[str, ...] = ()
    scale: float = 1.0


_LANE: Final = ("lane",)
_MS: Final = 0.001


def _intake(name: str, type_: MetricType, help_: str, key: str, *more: str, scale: float = 1.0
            ) -> Metric:  # fmt: skip
    return Metric(
        f"satomori_intake_{name}", type_, help_, f"intake.lanes.*.{key}", (*_LANE, *more), scale
    )


def _translator(name: str, type_: MetricType, help_: str, key: str, *more: str, scale: float = 1.0
                ) -> Metric:  # fmt: skip
    return Metric(
        f"satomori_translator_{name}", type_, help_, f"intake.translator.*.{key}",
        (*_LANE, *more), scale,
    )  # fmt: skip


def _alerts(name: str, type_: MetricType, help_: str, key: str, scale: float = 1.0) -> Metric:
    return Metric(f"satomori_alerts_{name}", type_, help_, f"alerts.lanes.*.{key}", _LANE, scale)


def _store(name: str, type_: MetricType, help_: str, key: str, *labels: str) -> Metric:
    return Metric(f"satomori_store_{name}", type_, help_, f"web.store.{key}", labels)


def _web(name: str, type_: MetricType, help_: str, key: str, *labels: str) -> Metric:
    return Metric(f"satomori_{name}", type_, help_, f"web.{key}", labels)


METRICS: Final[tuple[Metric, ...]] = (
    # -- whether it works
    Metric("satomori_ready", "gauge", "1 while /api/ready answers 200."),
    Metric("satomori_broker_up", "gauge", "1 while intake is connected to the broker."),
    Metric("satomori_process_up", "gauge", "1 while the process lives and does its work.",
           labels=("process",)),
    Metric("satomori_lane_behind", "gauge", "1 while a step (intake, alerts, store) of the lane is "
           "behind.", labels=("lane", "step")),
    Metric("satomori_lane_lag_seconds", "gauge", "How far a step of the lane is behind the field.",
           labels=("lane", "step")),
    # -- intake
    _intake("messages_total", "counter", "Messages taken in, repetitions included.", "messages"),
    _intake("repeated_messages_total", "counter", "Messages delivered again that were in the "
            "journal.", "repeated"),
    _intake("readings_total", "counter", "Readings journaled.", "readings"),
    _intake("flagged_readings_total", "counter", "Readings with a quality flag.", "flags.*",
            "flag"),
    _intake("rejected_messages_total", "counter", "Messages put into the quarantine.",
            "rejected.*", "reason"),
    _intake("left_out_fields_total", "counter", "Fields left out of messages that were kept.",
            "remarks.*", "reason"),
    _intake("missing_numbers_total", "counter", "Sequence numbers of devices that did not come.",
            "numbers_missing"),
    _intake("filled_numbers_total", "counter", "Missing sequence numbers that came later.",
            "numbers_filled"),
    _intake("commits_total", "counter", "Batches made durable in the journal.", "commits"),
    _intake("pending_messages", "gauge", "Messages received and not yet acknowledged.", "pending"),
    _intake("pending_age_seconds", "gauge", "Age of the oldest message received and not yet "
            "acknowledged.", "lag_ms", scale=_MS),
    _intake("wait_seconds", "gauge", "The same with the wait in the broker while reading is held "
            "back.", "wait_ms", scale=_MS),
    _intake("over_budget_publishers", "gauge", "Publishers whose messages are kept unread.",
            "over_budget"),
    _intake("last_tick_timestamp_seconds", "gauge", "The newest tick in the journal.",
            "last_tick_at", scale=_MS),
    _intake("device_lag_seconds", "histogram", "From the device's clock to our receiving it; newest"
            " readings in order only.", "device_lag"),
    _intake("commit_lag_seconds", "histogram", "From receiving a message to its being durable and "
            "acknowledged.", "commit_lag"),
    _intake("journal_sync_seconds", "histogram", "Duration of the disk's fdatasync.",
            "journal_sync"),
    _intake("journal_bytes", "gauge", "Size of the journal.", "journal.bytes"),
    _intake("journal_segments", "gauge", "Segment files of the journal.", "journal.segments"),
    _intake("journal_oldest_timestamp_seconds", "gauge", "Last write of the oldest segment kept.",
            "journal.oldest_at", scale=_MS),
    _intake("journal_frames_total", "counter", "Frames ever journaled.", "position"),
    Metric("satomori_intake_registry_revision", "gauge", "Revision of the registry in use.",
           "intake.revision"),
    Metric("satomori_intake_connection_up", "gauge", "1 while the consumer connection stands.",
           "intake.broker.*", ("connection",)),
    Metric("satomori_intake_connects_total", "counter", "Times the connection was made.",
           "intake.connections.*.connects", ("connection",)),
    Metric("satomori_intake_sessions_lost_total", "counter", "Times the broker had forgotten the "
           "session: what it kept for us is lost.", "intake.connections.*.sessions_lost",
           ("connection",)),
    # -- translation of what network servers and devices with a codec say
    Metric("satomori_network_up", "gauge", "1 while the connection to the network server stands.",
           "intake.networks.*.*", ("network", "lane")),
    _translator("waiting_messages", "gauge", "Raw messages in the journal that are not translated "
                "yet, as far as known.", "waiting"),
    _translator("wait_seconds", "gauge", "Age of the oldest of them that is in work.", "lag_ms",
                scale=_MS),
    _translator("translated_messages_total", "counter", "Raw messages that became readings.",
                "translated"),
    _translator("passed_messages_total", "counter", "Raw messages that tell nothing to measure: "
                "joins, second deliveries.", "passed.*", "what"),
    _translator("failed_messages_total", "counter", "Raw messages put into the quarantine.",
                "failed.*", "reason"),
    Metric("satomori_codec_suspended", "gauge", "1 while a codec is not run because it hung.",
           "intake.suspended_codecs.*", ("codec",)),
    # -- broker
    Metric("satomori_broker_log_events_total", "counter", "Troubles in the log of a child broker.",
           "system.broker_log.counts.*", ("event",)),
    # -- alerts
    _alerts("open_alarms", "gauge", "Alarms that are active.", "open_alarms"),
    _alerts("late_readings_total", "counter", "Readings older than their series' newest.",
            "late_readings"),
    _alerts("beyond_horizon_readings_total", "counter", "Late readings that were too late for "
            "the rules: stored, not judged.", "beyond_horizon"),
    _alerts("last_tick_timestamp_seconds", "gauge", "The newest tick that the engine has passed.",
            "last_tick_at", scale=_MS),
    _alerts("fed", "gauge", "1 while ticks arrive.", "is_fed"),
    _alerts("catching_up", "gauge", "1 while it runs again what was run before the start.",
            "is_catching_up"),
    _alerts("journal_frames_total", "counter", "Frames of the journal passed.", "position"),
    Metric("satomori_alerts_deliveries", "gauge", "Deliveries in the outbox.",
           "alerts.deliveries.*", ("state",)),
    Metric("satomori_alerts_event_lag_seconds", "histogram", "From the event time of the reading "
           "that brought a transition to its commit; historic ones left out.",
           "alerts.lags.event"),
    Metric("satomori_alerts_commit_lag_seconds", "histogram", "From receiving that reading to the "
           "commit of the transition.", "alerts.lags.received"),
    # -- store
    _store("rows_total", "counter", "Readings stored.", "rows"),
    _store("repeated_rows_total", "counter", "Readings that were stored already.", "repeated"),
    _store("changed_rows_total", "counter", "Readings stored again with another value.",
           "changed"),
    _store("refused_rows_total", "counter", "Readings that the store refused.", "refused"),
    _store("held_rows", "gauge", "Readings read from the journal and not yet stored.",
           "held_rows"),
    _store("lag_frames", "gauge", "Frames of the journal not yet stored.", "lag_frames.*", "lane"),
    _store("outage_seconds", "gauge", "How long the store has not taken what it is given; 0: it "
           "does.", "outage_s"),
    _store("journal_losses_total", "counter", "Times frames were gone or damaged before they were "
           "stored.", "losses"),
    _store("write_seconds", "histogram", "Duration of one write to the store.", "write"),
    # -- web
    _web("quarantine_messages", "gauge", "Messages in the quarantine.", "quarantine.rows"),
    _web("quarantine_dropped_total", "counter", "Messages dropped from the quarantine over its "
         "bound.", "quarantine.dropped"),
    _web("web_streams", "gauge", "Browsers that are connected.", "streams"),
    _web("web_frames_total", "counter", "Changes encoded for browsers, one a view.", "frames"),
    _web("web_snapshots_total", "counter", "Snapshots sent to browsers.", "snapshots"),
    _web("web_slow_streams_total", "counter", "Streams that were too slow and began afresh.",
         "dropped_to_snapshot"),
    _web("web_trouble", "gauge", "1 for each trouble that web has now.", "troubles.*", "what"),
    # -- outside feeds
    Metric("satomori_feed_good_timestamp_seconds", "gauge", "When all that the feed lists for us "
           "had been read, last.", "feeds.feeds.*.good_at", ("feed",), _MS),
    Metric("satomori_feed_tried_timestamp_seconds", "gauge", "When the feed was asked last.",
           "feeds.feeds.*.tried_at", ("feed",), _MS),
    Metric("satomori_feed_good", "gauge", "1 while the last answer was good.",
           "feeds.feeds.*.is_good", ("feed",)),
    Metric("satomori_feed_unread_documents", "gauge", "Documents of warnings that could not be "
           "read and that no later one has made needless.", "feeds.unread"),
    Metric("satomori_feed_received_bytes_total", "counter", "Bytes received from outside feeds.",
           "feeds.bytes_received"),
    # -- how the devices are
    _web("device_findings", "gauge", "Devices with the finding (docs/device-health.md).",
         "device_health.findings.*", "finding"),
    _web("device_health_assessed", "gauge", "Devices that were looked at.",
         "device_health.assessed"),
    Metric("satomori_device_health_oldest_timestamp_seconds", "gauge", "The oldest assessment of "
           "a device.", "web.device_health.oldest_at", scale=_MS),
    _web("device_health_cpu_seconds_total", "counter", "CPU time of looking at devices.",
         "device_health.cpu_s"),
    _web("device_health_dropped_frames_total", "counter", "Messages of devices about themselves "
         "that came too fast to be looked at.", "device_health.frames_dropped"),
    # -- processes
    Metric("satomori_process_resident_memory_bytes", "gauge", "Resident memory.",
           labels=("process",)),
    Metric("satomori_process_cpu_seconds_total", "counter", "CPU time, user and system.",
           labels=("process",)),
    Metric("satomori_process_start_time_seconds", "gauge", "When the process started.",
           labels=("process",)),
)  # fmt: skip

_TITLE: Final = """\
# Metrics

`GET /metrics`, Prometheus text format 0.0.4, with an access token (`Authorization: Bearer`, from
`satomori people token NAME`). Counters begin at 0 with each start of their process: take rates. How
to scrape, and rules worth an alert: [operation.md](operation.md#metrics).

This table is made by `python -m dashboards.metrics_table > docs/metrics.md`; a test compares them.

| metric | type | labels | meaning |
|---|---|---|---|
"""


def document() -> str:
    """The table as Markdown."""
    rows = (
        f"| `{metric.name}` | {metric.type} | {', '.join(metric.labels)} | {metric.help} |\n"
        for metric in METRICS
    )
    return _TITLE + "".join(rows)


if __name__ == "__main__":
    sys.stdout.write(document())
