// A battery's course and forecast as lines in a small box: pure geometry, no drawing.

import type { HealthRow } from "../api/health";
import { DAY } from "./time";

export interface Spark {
  readonly course: string; // points of a polyline
  readonly now: readonly [number, number];
  readonly end_y: number; // where the battery is empty
  readonly likely: readonly [number, number] | null; // where the line meets the end
  readonly fan: string | null; // polygon between the earliest and the latest end
}

const LONGEST_AHEAD_DAYS = 400;

/** Null where there is nothing to draw: fewer than three days. */
export function sparkOf(row: Pick<HealthRow, "battery" | "battery_course">, width: number, height: number): Spark | null {
  const { battery, battery_course: course } = row;
  const [first, last] = [course[0], course.at(-1)];
  if (first === undefined || last === undefined || course.length < 3 || battery.end === null) return null;
  const low = battery.state === "forecast" ? (battery.days_low ?? battery.days ?? 0) : 0;
  const wanted = battery.state === "forecast" ? (battery.days_high ?? 2 * (battery.days ?? low)) : 0;
  const past = Math.max(last.at - first.at, DAY);
  const ahead = Math.min(wanted * DAY, Math.max(2 * past, 60 * DAY), LONGEST_AHEAD_DAYS * DAY);
  const to = last.at + ahead;
  const levels = course.map(({ level }) => level);
  const top = Math.max(...levels, battery.end);
  const bottom = Math.min(...levels, battery.end);
  const tall = Math.max(top - bottom, 1e-6);
  const x = (at: number) => round(((at - first.at) / Math.max(to - first.at, 1)) * width);
  const y = (level: number) => round(2 + ((top - level) / tall) * (height - 4));
  const now: readonly [number, number] = [x(last.at), y(last.level)];
  const end_y = y(battery.end);
  const has_end = battery.state === "forecast" && battery.days !== null;
  const at_end = (days: number) => Math.min(x(last.at + days * DAY), width * 4);
  return {
    course: course.map(({ at, level }) => `${x(at)},${y(level)}`).join(" "),
    now,
    end_y,
    likely: has_end ? [at_end(battery.days ?? 0), end_y] : null,
    fan: has_end ? `${now.join(",")} ${at_end(low)},${end_y} ${at_end(wanted)},${end_y}` : null,
  };
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
