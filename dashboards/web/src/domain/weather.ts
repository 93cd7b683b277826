// What may be said of JMA's warnings: never "none" where it is not known.

import type { Rain, Warning, Weather } from "../api/weather";
import { HOUR } from "./time";

/** never: no good answer ever came. stale: the last one is too old. partly: JMA's state of an area
 * is not whole. calm: nothing is in force. warned: something is. */
export type Standing = "never" | "stale" | "partly" | "calm" | "warned";

export function standingOf(weather: Weather, now: number): Standing {
  if (weather.as_of === null) return "never";
  if (now - weather.as_of > weather.stale_after_s * 1000) return "stale";
  if (weather.areas.some((area) => !area.is_known)) return "partly";
  return weather.warnings.some((warning) => !warning.is_exercise) || weather.bulletins.length > 0 ? "warned" : "calm";
}

/** Areas with the same warning by the same document belong together. */
export interface WarningGroup {
  readonly warning: Warning;
  readonly areas: readonly string[];
}

export function together(warnings: readonly Warning[]): readonly WarningGroup[] {
  const found = new Map<string, { warning: Warning; areas: string[] }>();
  for (const warning of warnings) {
    const key = `${warning.is_exercise} ${warning.group} ${warning.code} ${warning.reported_at}`;
    const known = found.get(key);
    if (known === undefined) found.set(key, { warning, areas: [warning.area_name] });
    else known.areas.push(warning.area_name);
  }
  return [...found.values()];
}

const AHEAD = 24 * HOUR;

/** Of each amount the most that is expected in the next 24 hours; drills left out. */
export function mostRain(rain: readonly Rain[], now: number): readonly Rain[] {
  const most = new Map<string, Rain>();
  for (const one of rain) {
    if (!one.is_forecast || one.is_exercise || one.to_at <= now || one.from_at >= now + AHEAD) continue;
    const known = most.get(one.quantity);
    if (known === undefined || one.value_mm > known.value_mm) most.set(one.quantity, one);
  }
  return [...most.values()].filter((one) => one.value_mm > 0);
}
