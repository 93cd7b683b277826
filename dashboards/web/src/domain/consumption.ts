// What flowed through a meter as bars: one an hour, day or month of Japan.

import type { ConsumptionInterval, ConsumptionRemark, ConsumptionStep } from "../api/types";
import { DAY, HOUR, hourMinute, japanDate, monthDay, startOfDay, startOfHour, startOfMonth } from "./time";
import type { Dictionary } from "../i18n/dictionaries";

export const STEPS: readonly ConsumptionStep[] = ["hour", "day", "month"];

/** Below this share of the time covered by readings a bar is hollow: it is not the whole. */
const WHOLE = 0.98;

export interface Bars {
  readonly at: readonly number[]; // beginnings, ms UTC
  readonly whole: readonly (number | null)[]; // m³
  readonly partial: readonly (number | null)[]; // m³, of which a part is missing or shared out
  readonly missing: number; // intervals of which nothing is known
  readonly total: number;
  readonly most: number;
  readonly events: readonly { readonly at: number; readonly remark: ConsumptionRemark }[];
}

export function barsOf(intervals: readonly ConsumptionInterval[]): Bars {
  const values = intervals.map(({ value_m3 }) => value_m3 ?? 0);
  const is_whole = intervals.map(({ share_measured }) => share_measured >= WHOLE);
  return {
    at: intervals.map(({ from }) => from),
    whole: intervals.map(({ value_m3 }, row) => (is_whole[row] === true ? value_m3 : null)),
    partial: intervals.map(({ value_m3 }, row) => (is_whole[row] === true ? null : value_m3)),
    missing: intervals.filter(({ value_m3 }) => value_m3 === null).length,
    total: values.reduce((sum, value) => sum + value, 0),
    most: Math.max(0, ...values),
    events: intervals.flatMap(({ from, remarks }) =>
      remarks.filter((remark) => remark !== "estimated" && remark !== "gap").map((remark) => ({ at: from, remark })),
    ),
  };
}

/**
 * From when to when is asked: 48 hours, 30 days, 12 months up to the newest reading. A meter that
 * has been silent for three of its intervals is shown up to now, so that the silence is seen.
 */
export function spanOf(
  step: ConsumptionStep,
  newest_at: number,
  interval_s: number,
  now: number,
): { readonly from: number; readonly to: number } {
  const is_silent = now - newest_at > 3000 * interval_s;
  const to = is_silent ? now : Math.min(now, newest_at);
  if (step === "hour") return { from: startOfHour(to) - 47 * HOUR, to };
  if (step === "day") return { from: startOfDay(to) - 29 * DAY, to };
  return { from: startOfMonth(to, -11), to };
}

/** "05:00", "4/1", "2026/4". */
export function barWord(step: ConsumptionStep, at: number): string {
  if (step === "hour") return hourMinute(at) === "00:00" ? monthDay(at) : hourMinute(at);
  if (step === "day") return monthDay(at);
  const { year, month } = japanDate(at);
  return `${year}/${month}`;
}

/** The same for words that stand alone: an hour with its day. */
export function barTime(step: ConsumptionStep, at: number): string {
  return step === "hour" ? `${monthDay(at)} ${hourMinute(at)}` : barWord(step, at);
}

export function remarkWord(t: Dictionary, remark: ConsumptionRemark): string {
  return t[`used_${remark}`];
}
