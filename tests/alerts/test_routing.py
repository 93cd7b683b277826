"""Who is told of what."""

from __future__ import annotations

import pytest

from alerts.people import Person
from alerts.routing import drafts_for
from alerts.rules import load_rules
from tests.alerts.test_ledger import step
from tests.alerts.world import device

RULES = """
[[rules]]
name = "river"
kind = "stages"
quantity = "water.level"
stages = [{ name = "caution", level = 2 }]
[[routes]]
name = "staff"
min_level = 2
roles = ["disaster"]
channels = ["mail", "webhook"]
"""

AKI = Person(1, "aki", "秋山", "disaster", "ja", "aki@example.jp", None, True)
BEN = Person(2, "ben", "Ben", "disaster", "en", "ben@example.jp", "http://127.0.0.1/ben", True)
GONE = Person(3, "gone", "Gone", "disaster", "ja", "gone@example.jp", None, False)
FARMER = Person(4, "farmer", "Farmer", "agriculture", "ja", "f@example.jp", None, True)
MUTE = Person(5, "mute", "Mute", "disaster", "ja", None, None, True)
DEVICES = {3: device(3, area="川内")}


def _told(rules: str, *steps: object, people: tuple[Person, ...] = (AKI, BEN, GONE, FARMER)):  # type: ignore[no-untyped-def]  # (person, channel, address, refusal) rows
    routes = load_rules(rules).routes
    drafts = drafts_for(steps, routes, DEVICES, people, ["mail", "webhook", "log"])  # type: ignore[arg-type]  # steps are transitions
    return [(d.person, d.channel, d.address, d.refusal) for d in drafts]


def test_each_active_person_of_the_role_is_told_on_each_channel_with_an_address() -> None:
    """Two people, one of them with a webhook too; nobody who left, nobody of another role."""
    assert _told(RULES, step(1, 2)) == [
        (1, "mail", "aki@example.jp", None),
        (2, "mail", "ben@example.jp", None),
        (2, "webhook", "http://127.0.0.1/ben", None),
    ]


@pytest.mark.parametrize(
    ("change", "is_told"),
    [
        ({}, True),
        ({"is_historic": True}, False),
        ({"is_exercise": True}, True),
        ({"is_verified": False}, True),
        ({"to_level": 1}, False),
        ({"from_level": 4, "alarm": "t0"}, False),
        ({"to_level": 0, "alarm": "t0", "from_level": 4}, False),
    ],
)
def test_rises_are_told_falls_clears_and_history_are_not(
    change: dict[str, object], is_told: bool
) -> None:
    """What was known too late wakes nobody; below the route's level neither."""
    assert bool(_told(RULES, step(1, 2, **change))) == is_told  # type: ignore[arg-type]  # any field


def test_falls_and_clears_are_told_where_the_route_says_so() -> None:
    """But not the end of what was below the route's level, nor a withdrawal."""
    rules = RULES + "send_clears = true\n"
    assert _told(rules, step(2, 0, 2))
    assert not _told(rules, step(2, 0, 1))
    assert not _told(rules, step(2, 0, 2, to_stage="withdrawn"))


def test_routes_choose_by_rule_kind_and_area() -> None:
    """Every condition that is given must hold."""
    assert _told(RULES + 'areas = ["川内", "甑島"]\n', step(1, 2))
    assert not _told(RULES + 'areas = ["甑島"]\n', step(1, 2))
    assert not _told(RULES + 'rule_kinds = ["silence"]\n', step(1, 2))
    assert _told(RULES + 'rules = ["river"]\n', step(1, 2))


def test_two_routes_to_the_same_person_tell_her_once() -> None:
    """Whatever the routes, one message a transition, person and channel."""
    second = '[[routes]]\nname = "again"\npeople = ["aki"]\nchannels = ["mail"]\n'
    assert _told(RULES + second, step(1, 2)) == _told(RULES, step(1, 2))


def test_a_warning_that_can_reach_nobody_is_on_record() -> None:
    """No recipient at all, or one without an address: a draft that is refused with the reason."""
    assert _told(RULES, step(1, 2), people=(FARMER,)) == [
        (None, "mail", "", "route staff has no recipients")
    ]
    assert _told(RULES, step(1, 2), people=(MUTE,)) == [
        (5, "mail", "", "mute has no address on a channel that is configured")
    ]


def test_whoever_is_reached_on_one_channel_is_no_failure_on_another() -> None:
    """Neither a webhook that she does not have in the same route, nor another route of it alone."""
    hooks = '[[routes]]\nname = "hooks"\npeople = ["aki"]\nchannels = ["webhook"]\n'
    assert _told(RULES + hooks, step(1, 2), people=(AKI,)) == [(1, "mail", "aki@example.jp", None)]
    first, second = RULES.split("[[routes]]")
    other_way_round = f"{first}{hooks}[[routes]]{second}"
    assert _told(other_way_round, step(1, 2), people=(AKI,)) == [
        (1, "mail", "aki@example.jp", None)
    ]


def test_the_log_reaches_nobody() -> None:
    """It is written all the same, and the person whom nothing else can tell is on record."""
    rules = RULES.replace('"webhook"]', '"webhook", "log"]')
    assert _told(rules, step(1, 2), people=(AKI, MUTE)) == [
        (None, "log", "staff", None),
        (1, "mail", "aki@example.jp", None),
        (5, "mail", "", "mute has no address on a channel that is configured"),
    ]
    assert _told(rules, step(1, 2), people=(FARMER,)) == [
        (None, "log", "staff", None),
        (None, "mail", "", "route staff has no recipients"),
    ]
