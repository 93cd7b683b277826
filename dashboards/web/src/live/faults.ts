// Whether what is shown can be trusted. False calm is the worst failure of a warning page, so every
// doubt about the flow of data is a fault, and a fault is loud.

import { isInstallation } from "../domain/installation";
import { MINUTE } from "../domain/time";
import type { Station } from "../api/types";
import type { LiveState } from "./state";

/** The server's clock comes every 5 s; after twice that nothing shown is known to be true. */
export const STALE_AFTER_MS = 10_000;

export type Fault = "no_events" | "broker_down" | "broker_unknown" | "intake_down" | "alerts_down" | "no_data";

export type Feed =
  | { readonly kind: "connecting" }
  | { readonly kind: "ok" }
  | { readonly kind: "fault"; readonly faults: readonly Fault[] };

/** Judge the feed at `now` (browser clock, ms); `started_at` is when the page began to listen. */
export function judgeFeed(state: LiveState, now: number, started_at: number): Feed {
  if (now - (state.heard_at ?? started_at) > STALE_AFTER_MS) {
    return { kind: "fault", faults: ["no_events"] };
  }
  if (!state.has_snapshot) return { kind: "connecting" };
  const faults = reportedFaults(state, now);
  return faults.length === 0 ? { kind: "ok" } : { kind: "fault", faults };
}

function reportedFaults(state: LiveState, now: number): readonly Fault[] {
  const faults: Fault[] = [];
  const { clock } = state;
  if (clock !== null) {
    if (clock.broker === "down") faults.push("broker_down");
    if (isNotUp(clock.processes["intake"])) faults.push("intake_down");
    else if (clock.broker === "unknown") faults.push("broker_unknown"); // who could say is fault enough
    if (isNotUp(clock.processes["alerts"])) faults.push("alerts_down");
  }
  const stops = faults.some((fault) => fault !== "alerts_down");
  if (!stops && isFieldQuiet([...state.stations.values()], now + state.offset_ms)) {
    faults.push("no_data");
  }
  return faults;
}

function isNotUp(process: { readonly state: string } | undefined): boolean {
  return process !== undefined && process.state !== "up";
}

/** True when stations have been heard, but none for ten minutes and three of the shortest intervals.
    That the installation speaks of itself says nothing of the field. */
export function isFieldQuiet(stations: readonly Station[], now: number): boolean {
  let newest: number | null = null;
  let shortest_s = Infinity;
  for (const { kind, last_received_at, interval_s } of stations) {
    if (last_received_at === null || isInstallation({ kind })) continue;
    newest = Math.max(newest ?? last_received_at, last_received_at);
    shortest_s = Math.min(shortest_s, interval_s);
  }
  return newest !== null && now - newest > Math.max(10 * MINUTE, 3000 * shortest_s);
}

/** When the newest data of any station in the field was received, ms; null when none was. */
export function newestReceived(stations: ReadonlyMap<number, Station>): number | null {
  let newest: number | null = null;
  for (const { kind, last_received_at } of stations.values()) {
    if (isInstallation({ kind })) continue;
    if (last_received_at !== null && (newest === null || last_received_at > newest)) {
      newest = last_received_at;
    }
  }
  return newest;
}
