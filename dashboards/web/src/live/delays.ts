// What is late though it works: calm words instead of a fault, so that no old value looks new.

import type { Lane, LaneReport, ServerClock } from "../api/types";

export type Delay =
  | { readonly step: "intake" | "alerts"; readonly lane: Lane; readonly lag_s: number; readonly is_other_ok: boolean }
  | { readonly step: "store"; readonly lag_s: number }
  | { readonly step: "store_down"; readonly reason: string; readonly since: number | null };

const LANES: readonly Lane[] = ["urgent", "routine"];
const OTHER: Readonly<Record<Lane, Lane>> = { urgent: "routine", routine: "urgent" };

/** What is behind, the most urgent first. A lane of which nothing is known is a fault's business. */
export function delaysOf(clock: ServerClock | null): readonly Delay[] {
  if (clock === null) return [];
  const found: Delay[] = [];
  for (const step of ["intake", "alerts"] as const) {
    for (const lane of LANES) {
      const report = clock.lanes[lane];
      if (!isBehind(report, step)) continue;
      found.push({ step, lane, lag_s: report?.steps[step] ?? 0, is_other_ok: isInTime(clock.lanes[OTHER[lane]]) });
    }
  }
  if (clock.store.state === "down" && clock.store.reason !== null) {
    found.push({ step: "store_down", reason: clock.store.reason, since: clock.store.since });
  } else {
    const lags = LANES.filter((lane) => isBehind(clock.lanes[lane], "store")).map((lane) => clock.lanes[lane]?.steps.store ?? 0);
    if (lags.length > 0) found.push({ step: "store", lag_s: Math.max(...lags) });
  }
  return found;
}

/** Lanes whose stations show values that may be older than they would be otherwise. */
export function delayedLanes(clock: ServerClock | null): ReadonlySet<Lane> {
  return new Set(clock === null ? [] : LANES.filter((lane) => isBehind(clock.lanes[lane], "intake")));
}

function isBehind(report: LaneReport | undefined, step: "intake" | "alerts" | "store"): boolean {
  return report !== undefined && report.behind.includes(step);
}

/** Nobody is told that a lane is in time of which nothing is known. */
function isInTime(report: LaneReport | undefined): boolean {
  return report !== undefined && report.state !== "unknown" && !isBehind(report, "intake") && !isBehind(report, "alerts");
}
