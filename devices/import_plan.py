"""What a device CSV would change in the registry as it stands: new, changed, unchanged, impossible.

A column that the file does not have leaves a known device as it is; an empty cell of a column that
it has takes the default. Refuses to know files and databases: rows and a snapshot in, a plan out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from devices import device_rows, open_data
from devices.csv_import import CsvRow, RowError, parse_rows
from devices.drafts import DeviceDraft, Fault, faults
from devices.kinds import INSTALLATION, KINDS
from devices.snapshot import Device, RegistrySnapshot
from devices.units import Unit, identity_conflict

_OF_UNIT: Final = ("serial_number", "dev_eui", "model", "codec", "rollover_at")
_HEIGHTS: Final = ("gauge_zero_m", "mounting_height_m")
_MANY: Final = 10  # names that are said one by one


@dataclass(frozen=True, slots=True)
class Change:
    """A device that is there and would be changed, in these columns."""

    line: int
    name: str
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """What an import does, as long as there are no ``errors``; else nothing is done.

    ``drafts`` are those of what is new or changed; ``notices`` say what is allowed and may still be
    a mistake: an area that nobody has heard of, an owner who is not there.
    """

    drafts: tuple[DeviceDraft, ...]
    new: tuple[str, ...]
    changed: tuple[Change, ...]
    unchanged: int
    notices: tuple[str, ...]
    errors: tuple[RowError, ...]


def plan(text: str, registry: RegistrySnapshot, owners: Collection[str]) -> Plan:
    """What the CSV would change; ``owners`` are the names of all people and groups."""
    rows, errors = parse_rows(text)
    complete = [(row, _completed(row, registry)) for row in rows]
    errors += _all_errors(complete, registry)
    changes = [Change(row.line, d.name, _changed(d, registry)) for row, d in complete]
    by_name = {draft.name: draft for _, draft in complete}
    new = tuple(name for name in by_name if name not in registry.by_name)
    changed = tuple(c for c in changes if c.columns and c.name in registry.by_name)
    touched = {*new, *(change.name for change in changed)}
    return Plan(
        drafts=tuple(draft for draft in by_name.values() if draft.name in touched),
        new=new,
        changed=changed,
        unchanged=len(by_name) - len(touched),
        notices=tuple(_notices(complete, registry, owners)),
        errors=tuple(sorted(errors, key=lambda error: error.line)),
    )


def draft_of(device: Device, registry: RegistrySnapshot) -> DeviceDraft:
    """The draft that leaves a device as it is; what is its kind's default follows its kind."""
    unit = registry.unit_in.get(device.id)
    heights = _last_heights(device.id, registry)
    default_silence_s = device_rows.default_silence_s(device.kind, device.interval_s)
    is_default_silence = device.silence_after_s == default_silence_s
    return DeviceDraft(
        name=device.name,
        kind=device.kind,
        label=device.label,
        label_en="" if device.label_en == device.label else device.label_en,
        site=device.site,
        area=device.area,
        latitude=device.latitude,
        longitude=device.longitude,
        interval_s=device.interval_s,
        silence_after_s=None if is_default_silence else device.silence_after_s,
        thresholds=device.thresholds,
        tags=device.tags,
        gateway=device.gateway,
        owner=device.owner,
        intervals=device.intervals,
        active_from=device.active_from,
        open_data=device.open_data,
        gauge_zero_m=heights[0],
        mounting_height_m=heights[1],
        **{column: getattr(unit, column, None) for column in _OF_UNIT},
    )


def exported(registry: RegistrySnapshot) -> list[DeviceDraft]:
    """All devices of the field in service as drafts, by name; to import them changes nothing."""
    return [
        draft_of(device, registry)
        for _, device in sorted(registry.by_name.items())
        if device.decommissioned_at is None and device.kind != INSTALLATION.name
    ]


def _completed(row: CsvRow, registry: RegistrySnapshot) -> DeviceDraft:
    """What the row says, and of columns that it does not have what stands in the registry."""
    known = registry.by_name.get(row.draft.name)
    if known is None:
        return row.draft
    said = {column: getattr(row.draft, column) for column in row.columns}
    base = draft_of(known, registry)
    if row.draft.kind != known.kind and known.open_data == open_data.default_for(known.kind):
        base = replace(base, open_data=None)
    if "interval_s" in said and "intervals" not in said and known.intervals:
        base = replace(base, intervals={"active": known.intervals["active"]})
    if "intervals" in said and "interval_s" not in said and "normal" in said["intervals"]:
        base = replace(base, interval_s=None)
    return replace(base, **said)


def _all_errors(
    rows: Sequence[tuple[CsvRow, DeviceDraft]], registry: RegistrySnapshot
) -> Iterator[RowError]:
    kinds = {name: device.kind for name, device in registry.by_name.items()}
    kinds |= {draft.name: draft.kind for _, draft in rows}
    in_service = {u.dev_eui: u.device for u in registry.unit_in.values() if u.dev_eui is not None}
    holders = {eui: registry.devices[device].name for eui, device in in_service.items()}
    for row, draft in rows:
        found = [*faults(draft), *_gateway_faults(draft, kinds), *_unit_faults(draft, registry)]
        if draft.dev_eui is not None:
            holder = holders.setdefault(draft.dev_eui, draft.name)
            if holder != draft.name:
                found.append(Fault("dev_eui", draft.dev_eui, f"in service in device {holder}"))
        yield from map(row.error, found)


def _gateway_faults(draft: DeviceDraft, kinds: Mapping[str, str]) -> Iterator[Fault]:
    if draft.gateway is not None and kinds.get(draft.gateway) != "gateway":
        yield Fault("gateway", draft.gateway, "no registered gateway has this name")


def _unit_faults(draft: DeviceDraft, registry: RegistrySnapshot) -> Iterator[Fault]:
    said, unit = device_rows.unit_of(draft), _unit_in(draft.name, registry)
    if said is not None and unit is not None and (conflict := identity_conflict(unit, said)):
        yield Fault(*conflict)


def _changed(draft: DeviceDraft, registry: RegistrySnapshot) -> tuple[str, ...]:
    known = registry.by_name.get(draft.name)
    if known is None or draft.kind not in KINDS:
        return ()
    stored = device_rows.columns_of(draft) | {"tags": draft.tags}
    changed = [column for column, value in stored.items() if getattr(known, column) != value]
    unit = registry.unit_in.get(known.id)
    heights = dict(zip(_HEIGHTS, _last_heights(known.id, registry), strict=True))
    for column in (*_OF_UNIT, *_HEIGHTS):
        noted = heights[column] if column in heights else getattr(unit, column, None)
        if getattr(draft, column) not in (None, noted):
            changed.append(column)
    return tuple(changed)


def _notices(
    rows: Sequence[tuple[CsvRow, DeviceDraft]], registry: RegistrySnapshot, owners: Collection[str]
) -> Iterator[str]:
    drafts = [draft for _, draft in rows]
    known = ((d, registry.by_name[d.name]) for d in drafts if d.name in registry.by_name)
    back, moved = [], []
    for draft, device in known:
        if device.decommissioned_at is not None:
            back.append(draft.name)
        if device.kind != draft.kind:
            moved.append(f"{draft.name} ({device.kind} to {draft.kind})")
    for said, names in (
        ("back in service", back),
        ("another kind, hence other topics", moved),
        ("new areas", [d.area for d in drafts if d.area and d.area not in registry.areas]),
        ("new sites", [d.site for d in drafts if d.site and d.site not in registry.sites]),
        ("owners who are no person and no group", [
            d.owner for d in drafts if d.owner is not None and d.owner not in owners
        ]),
    ):  # fmt: skip
        if names:
            yield f"{said}: {_listed(names)}"


def _listed(names: Iterable[str]) -> str:
    distinct = list(dict.fromkeys(names))
    more = f" and {len(distinct) - _MANY} more" if len(distinct) > _MANY else ""
    return ", ".join(distinct[:_MANY]) + more


def _unit_in(name: str, registry: RegistrySnapshot) -> Unit | None:
    device = registry.by_name.get(name)
    return None if device is None else registry.unit_in.get(device.id)


def _last_heights(device: int, registry: RegistrySnapshot) -> tuple[float | None, float | None]:
    """Those of the newest datum that is noted."""
    known = registry.datums.get(device, ())
    return (known[-1].gauge_zero_m, known[-1].mounting_height_m) if known else (None, None)
