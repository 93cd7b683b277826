"""Who is to be told of a transition, and on which channel: routes and people in, drafts out.

Refuses to know how a message looks and how it is sent. A warning that can reach nobody becomes a
draft that is refused with the reason, so that it is on record.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from alerts.ledger import DeliveryDraft
from alerts.people import Person
from alerts.rules import Route
from alerts.transitions import WITHDRAWN, Change, Correction, Transition
from devices.registry import Device


@dataclass(frozen=True, slots=True)
class _News:
    """Something to tell: a transition, or (``is_withdrawal``) that it does not hold.

    ``instead`` is told where a route does not want to hear of the transition itself.
    """

    transition: Transition
    is_withdrawal: bool = False
    instead: Transition | None = None


def drafts_for(
    changes: Sequence[Change],
    routes: Sequence[Route],
    devices: Mapping[int, Device],
    people: Sequence[Person],
    channels: Collection[str],
) -> list[DeliveryDraft]:
    """One draft a transition, recipient and channel, each at most once whatever the routes.

    Of a correction people are told only where it changes the present stage: the transition to what
    is so now, or that what they were told does not hold. Whoever is reached on one channel, by
    whatever route, gives no refusal for the others. The log is a record and reaches nobody: a
    person whom it alone would tell is refused, and so on record.
    """
    drafts: dict[tuple[str, bool, int | None, str], DeliveryDraft] = {}
    for news in _news(changes):
        device = devices.get(news.transition.device)
        for route in routes:
            one = _wanted(news, route)
            if one is not None and _matches(one.transition, route, device):
                for draft in _drafts(one, route, people, channels):
                    key = (draft.transition, draft.is_withdrawal, draft.person, draft.channel)
                    if key not in drafts or drafts[key].refusal:
                        drafts[key] = draft
    reached = {
        (d.transition, d.is_withdrawal, d.person)
        for d in drafts.values()
        if d.person and not d.refusal
    }
    return [
        d
        for d in drafts.values()
        if not d.refusal or (d.transition, d.is_withdrawal, d.person) not in reached
    ]


def _news(changes: Sequence[Change]) -> Iterator[_News]:
    """What is to be told; not what was said and is withdrawn again before anybody could hear."""
    withdrawn = {
        w.transition.id
        for c in changes
        if isinstance(c, Correction)
        for w in c.withdrawn
        if w.is_told
    }
    said = {c.id for c in changes if isinstance(c, Transition)}
    for change in changes:
        if isinstance(change, Correction):
            yield from _news_of(change, said)
        elif not change.is_historic and change.id not in withdrawn:
            yield _News(change)


def _news_of(correction: Correction, said: Collection[str]) -> Iterator[_News]:
    """For the river and its drill apart: what is so now, else that it is not so any more."""
    for is_exercise in (False, True):
        gone = [
            w.transition
            for w in correction.withdrawn
            if w.is_told and w.transition.is_exercise == is_exercise
            if not w.transition.is_historic and w.transition.id not in said
        ]
        new = [
            t
            for t in correction.stands
            if t.id in correction.to_tell and t.is_exercise == is_exercise
        ]
        if new:
            yield _News(new[-1], instead=gone[-1] if gone else None)
        elif gone:
            yield _News(gone[-1], is_withdrawal=True)


def _wanted(news: _News, route: Route) -> _News | None:
    if _is_told(news.transition, route):
        return news
    if news.instead is not None and _is_told(news.instead, route):
        return _News(news.instead, is_withdrawal=True)
    return None


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
    news: _News, route: Route, people: Sequence[Person], channels: Collection[str]
) -> Iterator[DeliveryDraft]:
    recipients = [
        p for p in people if p.is_active and (p.role in route.roles or p.name in route.people)
    ]
    if "log" in route.channels:
        yield _draft(news, None, "log", route.name)
    personal = [c for c in route.channels if c != "log"]
    if personal and not recipients:
        reason = f"route {route.name} has no recipients"
        yield _draft(news, None, personal[0], "", reason)
    for person in recipients:
        yield from _personal(news, person, personal, channels)


def _personal(
    news: _News, person: Person, wanted: Sequence[str], channels: Collection[str]
) -> Iterator[DeliveryDraft]:
    """Drafts on the channels on which a person can be reached; one refusal if there is none."""
    addresses = {"mail": person.mail_address, "webhook": person.webhook_url}
    reachable = [(c, a) for c in wanted if (a := addresses[c]) and c in channels]
    for channel, address in reachable:
        yield _draft(news, person.id, channel, address)
    if wanted and not reachable:
        reason = f"{person.name} has no address on a channel that is configured"
        yield _draft(news, person.id, wanted[0], "", reason)


def _draft(
    news: _News, person: int | None, channel: str, address: str, refusal: str | None = None
) -> DeliveryDraft:
    one = news.transition
    return DeliveryDraft(
        one.id, one.alarm, person, channel, address, refusal, is_withdrawal=news.is_withdrawal
    )
