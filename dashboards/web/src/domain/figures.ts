// The figures of an alarm: what it is now and what it was at its highest.

import type { Alarm, Station } from "../api/types";
import { isInstallation } from "./installation";
import { figureWithUnit, isFlag, isSuspect } from "./quantities";

/** The value of a stage alarm; null where the alarm is about no figure (silence, events). */
export function alarmValue(alarm: Alarm, station: Station | undefined): string | null {
  if (alarm.value === null || !hasFigure(alarm, station)) return null;
  return figureWithUnit(station?.main ?? null, currentValue(alarm, station) ?? alarm.value);
}

/** The highest value that was measured while the alarm was open; null while nothing is verified. */
export function alarmPeak(alarm: Alarm, station: Station | undefined): string | null {
  if (alarm.peak_value === null || !hasFigure(alarm, station)) return null;
  return figureWithUnit(station?.main ?? null, alarm.peak_value);
}

/** What the installation says of itself is a sentence; its figures are in the panel. */
function hasFigure(alarm: Alarm, station: Station | undefined): boolean {
  return !isInstallation(station) && alarm.rule_kind !== "silence" && alarm.rule_kind !== "event" && !isFlag(station?.main ?? null);
}

/** While a stage alarm is on, the value now; the alarm's own is that of its last step. */
function currentValue(alarm: Alarm, station: Station | undefined): number | null {
  const latest = station?.main == null ? undefined : station.latest[station.main];
  const is_current = alarm.state === "active" && alarm.rule_kind === "stages" && alarm.is_verified;
  return is_current && latest !== undefined && !isSuspect(latest.quality) ? latest.value : null;
}
