// In which order alarms and stations are read, and which of them a filter lets through.

import type { Alarm, Station, StationState } from "../api/types";
import { urgency } from "./states";

export interface AlarmGroups {
  readonly unacknowledged: readonly Alarm[];
  readonly acknowledged: readonly Alarm[];
  readonly cleared: readonly Alarm[];
}

const CLEARED_SHOWN = 10;

/** Active unacknowledged first, then acknowledged, then the newest cleared ones. */
export function groupAlarms(alarms: Iterable<Alarm>): AlarmGroups {
  const unacknowledged: Alarm[] = [];
  const acknowledged: Alarm[] = [];
  const cleared: Alarm[] = [];
  for (const alarm of alarms) {
    if (alarm.state === "cleared") cleared.push(alarm);
    else if (alarm.acknowledged_at === null) unacknowledged.push(alarm);
    else acknowledged.push(alarm);
  }
  cleared.sort((a, b) => (b.cleared_at ?? 0) - (a.cleared_at ?? 0));
  return {
    unacknowledged: unacknowledged.sort(byLevelThenNewest),
    acknowledged: acknowledged.sort(byLevelThenNewest),
    cleared: cleared.slice(0, CLEARED_SHOWN),
  };
}

function byLevelThenNewest(a: Alarm, b: Alarm): number {
  return (
    Number(a.is_exercise) - Number(b.is_exercise) ||
    b.level - a.level ||
    b.opened_at - a.opened_at ||
    a.id.localeCompare(b.id)
  );
}

/** The alarms of one station: all active ones, or else the newest cleared one. */
export function sortAlarmsOf(station: number, alarms: Iterable<Alarm>): readonly Alarm[] {
  const of_station = [...alarms].filter(({ device }) => device === station);
  const active = of_station.filter(({ state }) => state === "active").sort(byLevelThenNewest);
  if (active.length > 0) return active;
  return of_station.sort((a, b) => b.changed_at - a.changed_at).slice(0, 1);
}

export interface Filter {
  readonly kind: string | null;
  readonly states: ReadonlySet<StationState>; // empty: all
  readonly text: string;
}

export const NO_FILTER: Filter = { kind: null, states: new Set(), text: "" };

export function isFiltering(filter: Filter): boolean {
  return filter.kind !== null || filter.states.size > 0 || filter.text.trim() !== "";
}

export function passes(station: Station, filter: Filter): boolean {
  return (
    (filter.kind === null || station.kind === filter.kind) &&
    (filter.states.size === 0 || filter.states.has(station.state)) &&
    matches(station, filter.text.trim().toLowerCase())
  );
}

function matches(station: Station, text: string): boolean {
  if (text === "") return true;
  const { label, label_en, name, area, site } = station;
  return [label, label_en, name, area, site].some((word) => word.toLowerCase().includes(text));
}

/** Most urgent first; within a state the higher and faster-rising first, then by name. */
export function sortStations(stations: Iterable<Station>): Station[] {
  return [...stations].sort(
    (a, b) =>
      urgency(b) - urgency(a) ||
      b.level - a.level ||
      a.label.localeCompare(b.label, "ja") ||
      a.id - b.id,
  );
}

export function countStates(stations: Iterable<Station>): ReadonlyMap<StationState, number> {
  const counts = new Map<StationState, number>();
  for (const { state } of stations) counts.set(state, (counts.get(state) ?? 0) + 1);
  return counts;
}

/** The next stage above a value, and by how much it is missed; null above the highest. */
export function nextStage(
  thresholds: Readonly<Record<string, number>>,
  value: number,
): { readonly stage: string; readonly distance: number } | null {
  let next: { stage: string; distance: number } | null = null;
  for (const [stage, threshold] of Object.entries(thresholds)) {
    const distance = threshold - value;
    if (distance > 0 && (next === null || distance < next.distance)) next = { stage, distance };
  }
  return next;
}

/** Alarms that a listener has to be told of: new, or risen above the level told before. */
export function newlyUrgent(
  told: ReadonlyMap<string, number>,
  alarms: Iterable<Alarm>,
): readonly Alarm[] {
  return [...alarms].filter(
    (alarm) => alarm.state === "active" && !alarm.is_historic && alarm.level > (told.get(alarm.id) ?? -1),
  );
}
