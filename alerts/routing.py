"""Who is to be told of a transition, and on which channel: routes and people in, drafts out.

Refuses to know how a message looks and how it is sent. A warning that can reach nobody becomes a
draft that is refused with the reason, so that it is on record.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from alerts.ledger import DeliveryDraft
from alerts.people import Person
from alerts.rules import Route
from alerts.transitions import WITHDRAWN, Transition
from devices.registry import Device


def drafts_for(
    transitions: Iterable[Transition],
    routes: Sequence[Route],
    devices: Mapping[int, Device],
    people: Sequence[Person],
    channels: Collection[str],
) -> list[DeliveryDraft]:
    """One draft a transition, recipient and channel, each at most once whatever the routes.

    Whoever is reached on one channel, by whatever route, gives no refusal for the others. The log
    is a record and reaches nobody: a person whom it alone would tell is refused, and so on record.
    """
    drafts: dict[tuple[str, int | None, str], DeliveryDraft] = {}
    for one in transitions:
        device = devices.get(one.device)
        for route in routes:
            if _is_told(one, route) and _matches(one, route, device):
                for draft in _drafts(one, route, people, channels):
                    key = (one.id, draft.person, draft.channel)
                    if key not in drafts or drafts[key].refusal:
                        drafts[key] = draft
    reached = {(d.transition, d.person) for d in drafts.values() if d.person and not d.refusal}
    return [d for d in drafts.values() if not d.refusal or (d.transition, d.person) not in reached]


def _is_told(one: Transition, route: Route) -> bool:
    """What was known too late wakes nobody; falls and clears only where the route wants them."""
    if one.is_historic or one.to_stage == WITHDRAWN:
        return False
    if one.is_clearing or one.to_level < one.from_level:
        return route.send_clears and one.from_level >= route.min_level
    return one.to_level >= route.min_level


def _matches(one: Transition, route: Route, device: Device | None) -> bool:
    return (
        (not route.rules or one.rule in route.rules)
        and (not route.rule_kinds or one.rule_kind in route.rule_kinds)
        and (not route.areas or (device is not None and device.area in route.areas))
    )


def _drafts(
    one: Transition, route: Route, people: Sequence[Person], channels: Collection[str]
) -> Iterator[DeliveryDraft]:
    recipients = [
        p for p in people if p.is_active and (p.role in route.roles or p.name in route.people)
    ]
    if "log" in route.channels:
        yield DeliveryDraft(one.id, one.alarm, None, "log", route.name)
    personal = [c for c in route.channels if c != "log"]
    if personal and not recipients:
        reason = f"route {route.name} has no recipients"
        yield DeliveryDraft(one.id, one.alarm, None, personal[0], "", reason)
    for person in recipients:
        yield from _personal(one, person, personal, channels)


def _personal(
    one: Transition, person: Person, wanted: Sequence[str], channels: Collection[str]
) -> Iterator[DeliveryDraft]:
    """Drafts on the channels on which a person can be reached; one refusal if there is none."""
    addresses = {"mail": person.mail_address, "webhook": person.webhook_url}
    reachable = [(c, a) for c in wanted if (a := addresses[c]) and c in channels]
    for channel, address in reachable:
        yield DeliveryDraft(one.id, one.alarm, person.id, channel, address)
    if wanted and not reachable:
        reason = f"{person.name} has no address on a channel that is configured"
        yield DeliveryDraft(one.id, one.alarm, person.id, wanted[0], "", reason)
