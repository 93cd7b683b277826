"""What the installation says of itself, from figures alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.kinds import INSTALLATION
from ingest.self_report import (
    MIB,
    SYS_TOPICS,
    Disk,
    PerMinute,
    Traffic,
    Unaccounted,
    of_broker,
    of_disks,
    of_feed,
    of_lags,
    sys_figure,
    traffic_of,
)

NOW = 1_767_225_600_000
WINDOW_MS = 60_000


@given(st.sampled_from([*SYS_TOPICS, b"$SYS/broker/version"]), st.binary(max_size=40))
def test_whatever_the_broker_says_of_itself_is_a_number_or_nothing(
    topic: bytes, payload: bytes
) -> None:
    found = sys_figure(topic, payload)
    assert found is None or (found[0] == SYS_TOPICS[topic] and 0 <= found[1] < 10**18)


def test_what_is_retained_is_not_queued() -> None:
    figures = {"stored": 60, "retained": 53, "stored_bytes": 3 * MIB, "connected": 7}
    assert of_broker(figures) == {
        "broker.connections": 7,
        "broker.messagesQueued": 7,
        "broker.bytesQueued": 3.0,
    }


@pytest.mark.parametrize(
    ("feeds", "age_s"),
    [
        ({"good_at": NOW - 90_000}, 90),
        ({"good_at": None}, 600),
        (None, 600),
        ({"good_at": "x"}, 600),
    ],
)
def test_a_feed_is_as_old_as_its_last_good_answer_or_as_our_watching(
    feeds: dict[str, object] | None, age_s: float
) -> None:
    """A process that never wrote, or never got an answer, is no fresh feed."""
    assert of_feed(NOW, NOW - 600_000, feeds) == {"feed.age": age_s}


def test_what_the_broker_has_not_said_is_left_out() -> None:
    assert of_broker({}) == {}


@pytest.mark.parametrize(("free_mib", "near"), [(2048, 0.25), (1024, 0.5), (512, 1.0), (256, 2.0)])
def test_the_disk_nears_its_low_water_mark(free_mib: int, near: float) -> None:
    """Half of the way at twice the mark, one where routine traffic stops; the fullest counts."""
    disks = [Disk(10_000 * MIB), Disk(free_mib * MIB)]
    assert of_disks(disks, 512 * MIB) == {"disk.free": free_mib, "disk.lowWater": near}


def test_a_disk_without_a_byte_has_still_a_finite_value() -> None:
    assert of_disks([Disk(0)], 512 * MIB)["disk.lowWater"] == 1000.0


@pytest.mark.parametrize(
    ("alerts", "web", "alerts_lag_s", "store_lag_s"),
    [
        ({"lanes": {"urgent": {"last_tick_at": NOW - 1000}}}, {"at": NOW}, 1.0, 0.0),
        ({"lanes": {"urgent": {"last_tick_at": None}}}, {"at": NOW}, 90.0, 0.0),
        (None, None, 90.0, 90.0),
        ({"lanes": 7}, {"at": "x", "store": []}, 90.0, 90.0),
        ({}, {"at": NOW, "store": {"outage": "refused", "outage_s": 12.5}}, 90.0, 12.5),
        ({}, {"at": NOW - 40_000, "store": {"outage": None, "outage_s": 0.0}}, 90.0, 40.0),
    ],
)
def test_a_process_that_says_nothing_lags_by_its_silence(
    alerts: dict[str, object] | None,
    web: dict[str, object] | None,
    alerts_lag_s: float,
    store_lag_s: float,
) -> None:
    found = of_lags(NOW, NOW - 90_000, 1500, alerts, web)
    assert found == {"intake.lag": 1.5, "alerts.lag": alerts_lag_s, "store.lag": store_lag_s}


def test_growth_is_told_for_a_minute() -> None:
    counts = PerMinute({"lost": 3})
    assert counts.add(NOW, {"lost": 3}) == {"lost": 0}
    assert counts.add(NOW + 10_000, {"lost": 5}) == {"lost": 2}
    assert counts.add(NOW + 40_000, {"lost": 6}) == {"lost": 3}
    assert counts.add(NOW + 71_000, {"lost": 6}) == {"lost": 1}
    assert counts.add(NOW + 101_000, {"lost": 6}) == {"lost": 0}


def test_what_grew_while_nobody_looked_counts_now() -> None:
    """The broker dropped messages while intake was away: that is when it drops them."""
    assert PerMinute({"dropped": 10}).add(NOW, {"dropped": 510}) == {"dropped": 500}
    assert PerMinute({}).add(NOW, {"dropped": 7}) == {"dropped": 7}


def test_a_total_that_falls_began_anew() -> None:
    assert PerMinute({"dropped": 500}).add(NOW, {"dropped": 4}) == {"dropped": 4}


def _estimate(surpluses: list[int], *, received_each: int = 100) -> list[float | None]:
    """The estimate after each sample, 10 s apart; so many went nowhere or are on their way."""
    account = Unaccounted(WINDOW_MS)
    told = []
    for k, surplus in enumerate(surpluses):
        received = 1000 + k * received_each
        traffic = Traffic(received, 0, 0, taken=received - surplus, published=0, pending=0)
        account.add(NOW + k * 10_000, traffic)
        told.append(account.per_minute(NOW + k * 10_000))
    return told


def test_denied_publishes_show_as_what_went_nowhere() -> None:
    """Fifty at once are told a minute later, for a minute."""
    told = _estimate([0] * 12 + [50] * 18)
    assert told[11] == 0.0
    assert 50.0 in told
    assert told[-1] == 0.0


def test_messages_on_their_way_are_not_taken_for_denied() -> None:
    """Now and then a sample catches a burst between broker and us."""
    told = _estimate([0, 400, 3, 2, 90, 0, 700, 0, 0, 20, 0, 0, 900, 0, 0, 30, 0, 0, 0, 5])
    assert set(told[12:]) == {0.0}


def test_a_thousandth_of_the_traffic_is_no_estimate() -> None:
    told = _estimate([0] * 10 + [50] * 10, received_each=100_000)
    assert set(told) == {None, 0.0}


def test_a_broker_that_restarted_begins_a_new_account() -> None:
    account = Unaccounted(WINDOW_MS)
    for k in range(13):
        account.add(NOW + k * 10_000, Traffic(1000, 0, 0, 1000, 0, 0))
    at = NOW + 130_000
    account.add(at, Traffic(10, 0, 0, 1000, 0, 0))
    assert account.per_minute(at) is None


def test_queue_drops_and_our_own_are_accounted_for() -> None:
    figures = {"received": 1000, "dropped": 20, "stored": 153, "retained": 53}
    traffic = traffic_of(figures, taken=850, published=70, pending=40)
    assert traffic is not None
    assert traffic.surplus == 1000 - 20 - 70 - 850 - (100 - 40)
    assert traffic_of({"dropped": 1}, taken=0, published=0, pending=0) is None


def test_everything_that_is_said_is_a_quantity_of_the_installation() -> None:
    said = {
        *of_broker({"stored": 1, "stored_bytes": 1, "connected": 1}),
        *of_disks([Disk(1)], 1),
        *of_lags(NOW, NOW, 0, None, None),
    }
    assert said < set(INSTALLATION.quantities)
