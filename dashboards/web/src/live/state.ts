// What the page knows, as a pure function of the live events it has heard. No clocks, no sockets.

import type { Alarm, Changes, ServerClock, Snapshot, Station } from "../api/types";

export interface LiveState {
  readonly has_snapshot: boolean;
  readonly stations: ReadonlyMap<number, Station>;
  readonly alarms: ReadonlyMap<string, Alarm>;
  /** When the server last said anything, by this browser's clock; null before the first time. */
  readonly heard_at: number | null;
  /** The server's own time of what is shown. */
  readonly shown_at: number | null;
  /** Server clock minus browser clock, ms: a wrong clock in the browser spoils nothing. */
  readonly offset_ms: number;
  readonly clock: ServerClock | null;
  readonly is_connected: boolean;
}

export type LiveEvent =
  | { readonly type: "snapshot"; readonly data: Snapshot; readonly heard_at: number }
  | { readonly type: "changes"; readonly data: Changes; readonly heard_at: number }
  | { readonly type: "clock"; readonly data: ServerClock; readonly heard_at: number }
  | { readonly type: "cleared"; readonly alarms: readonly Alarm[] }
  | { readonly type: "disconnected" };

export const SILENT: LiveState = {
  has_snapshot: false,
  stations: new Map(),
  alarms: new Map(),
  heard_at: null,
  shown_at: null,
  offset_ms: 0,
  clock: null,
  is_connected: false,
};

/** The state after an event. A snapshot replaces everything; changes replace what they name. */
export function reduce(state: LiveState, event: LiveEvent): LiveState {
  switch (event.type) {
    case "snapshot":
      return {
        ...heard(state, event.data.at, event.heard_at),
        has_snapshot: true,
        stations: new Map(event.data.stations.map((station) => [station.id, station])),
        alarms: new Map(event.data.alarms.map((alarm) => [alarm.id, alarm])),
      };
    case "changes":
      return {
        ...heard(state, event.data.at, event.heard_at),
        stations: replaced(state.stations, event.data.stations),
        alarms: replaced(state.alarms, event.data.alarms),
      };
    case "clock":
      return { ...heard(state, event.data.at, event.heard_at), clock: event.data };
    case "cleared":
      return { ...state, alarms: withCleared(state.alarms, event.alarms) };
    case "disconnected":
      return state.is_connected ? { ...state, is_connected: false } : state;
  }
}

function heard(state: LiveState, at: number, heard_at: number): LiveState {
  return { ...state, heard_at, shown_at: at, offset_ms: at - heard_at, is_connected: true };
}

/** A snapshot holds active alarms only; what cleared before is asked for and never overrides it. */
function withCleared(
  known: ReadonlyMap<string, Alarm>,
  found: readonly Alarm[],
): ReadonlyMap<string, Alarm> {
  return replaced(known, found.filter((alarm) => alarm.state === "cleared" && !known.has(alarm.id)));
}

function replaced<Key, Value extends { readonly id: Key }>(
  known: ReadonlyMap<Key, Value>,
  changed: readonly Value[],
): ReadonlyMap<Key, Value> {
  if (changed.length === 0) return known;
  const next = new Map(known);
  for (const value of changed) next.set(value.id, value);
  return next;
}
