// Turns the samples of a series into what a chart draws: a line with gaps as gaps, and suspect
// points apart from it.

import type { Samples } from "../api/types";
import { isSuspect, shown } from "./quantities";
import { MINUTE } from "./time";

export interface Course {
  readonly at_s: number[]; // seconds UTC, ascending
  readonly line: (number | null | undefined)[]; // null breaks the line, undefined does not
  readonly suspect: (number | null)[];
  readonly low: number | null; // of the good values, in the unit shown
  readonly high: number | null;
  readonly last: number | null;
}

/**
 * A gap is a step of more than `gap_ms`:
 *
 *     ●──●──●        ●──●      one null is put between
 *           └ gap_ms ┘
 */
export function courseOf(samples: Samples, gap_ms: number): Course {
  const at_s: number[] = [];
  const line: (number | null | undefined)[] = [];
  const suspect: (number | null)[] = [];
  let previous_good: number | null = null;
  samples.measured_at.forEach((at, row) => {
    const value = samples.value[row];
    if (value === undefined) return;
    const is_suspect = isSuspect(samples.quality[row] ?? 0);
    if (!is_suspect && previous_good !== null && at - previous_good > gap_ms) {
      breakLine(at_s, line, suspect, at);
    }
    at_s.push(at / 1000);
    line.push(is_suspect ? undefined : shown(samples.quantity, value));
    suspect.push(is_suspect ? shown(samples.quantity, value) : null);
    if (!is_suspect) previous_good = at;
  });
  const good = line.filter((value) => value !== null && value !== undefined);
  return {
    at_s,
    line,
    suspect,
    low: good.length === 0 ? null : Math.min(...good),
    high: good.length === 0 ? null : Math.max(...good),
    last: good.at(-1) ?? null,
  };
}

function breakLine(
  at_s: number[],
  line: (number | null | undefined)[],
  suspect: (number | null)[],
  at: number,
): void {
  const before = at_s.at(-1) ?? at / 1000;
  at_s.push((before + at / 1000) / 2);
  line.push(null);
  suspect.push(null);
}

/** How long without a reading is a gap: three intervals, and never less than two drawn buckets. */
export function gapAfter(interval_s: number, span_ms: number, max_points: number): number {
  return Math.max(3000 * interval_s, (4 * span_ms) / max_points);
}

/** The samples with a newer reading at the end, or unchanged if it is not newer. */
export function withLatest(
  samples: Samples,
  latest: { readonly series: number; readonly value: number; readonly measured_at: number; readonly quality: number },
): Samples {
  const newest = samples.measured_at.at(-1) ?? -Infinity;
  if (latest.series !== samples.series || latest.measured_at <= newest) return samples;
  return {
    ...samples,
    measured_at: [...samples.measured_at, latest.measured_at],
    value: [...samples.value, latest.value],
    quality: [...samples.quality, latest.quality],
  };
}

export interface TimeWindow {
  readonly start_at: number;
  readonly end_at: number;
  /** Nothing older is there: the axis begins with the first reading, not `span_ms` ago. */
  readonly is_shortened: boolean;
}

const SHORTEST_MS = 15 * MINUTE;
const MUCH_LESS = 0.5;

/**
 * The time that a chart of the last `span_ms` shows. Where the readings began much later than that,
 * from the first reading on, and never less than a quarter of an hour:
 *
 *     asked for   ├──────────────────────────┤ now
 *     readings                           ●●●●●
 *     shown                            ├─────┤
 */
export function windowOf(course: Course, now: number, span_ms: number): TimeWindow {
  const end_at = Math.max(now, (course.at_s.at(-1) ?? 0) * 1000);
  const first_at = (course.at_s[0] ?? 0) * 1000;
  const reach = Math.max(SHORTEST_MS, (end_at - first_at) * 1.04);
  if (course.at_s.length === 0 || reach > MUCH_LESS * span_ms) {
    return { start_at: end_at - span_ms, end_at, is_shortened: false };
  }
  return { start_at: end_at - reach, end_at, is_shortened: true };
}
