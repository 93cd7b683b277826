// Instants (ms UTC) as people in Japan read them. Japan has had no summer time since 1951, so
// Asia/Tokyo is UTC+9 and formatting is plain arithmetic, fast enough for thousands of rows.

import type { Dictionary } from "../i18n/dictionaries";

export const SECOND = 1000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;
const TOKYO = 9 * HOUR;

const two = (n: number) => String(n).padStart(2, "0");

function tokyo(at: number): Date {
  return new Date(at + TOKYO);
}

/** The last full hour, midnight and first of a month (`months` later) of Japan at or before `at`. */
export function startOfHour(at: number): number {
  return Math.floor(at / HOUR) * HOUR;
}

export function startOfDay(at: number): number {
  return Math.floor((at + TOKYO) / DAY) * DAY - TOKYO;
}

export function startOfMonth(at: number, months = 0): number {
  const d = tokyo(at);
  return Date.UTC(d.getUTCFullYear(), d.getUTCMonth() + months, 1) - TOKYO;
}

export function japanDate(at: number): { readonly year: number; readonly month: number } {
  const d = tokyo(at);
  return { year: d.getUTCFullYear(), month: d.getUTCMonth() + 1 };
}

/** "17:05". */
export function hourMinute(at: number): string {
  const d = tokyo(at);
  return `${two(d.getUTCHours())}:${two(d.getUTCMinutes())}`;
}

/** "17:05:09". */
export function clockTime(at: number): string {
  return `${hourMinute(at)}:${two(tokyo(at).getUTCSeconds())}`;
}

/** "11/22". */
export function monthDay(at: number): string {
  const d = tokyo(at);
  return `${d.getUTCMonth() + 1}/${d.getUTCDate()}`;
}

/** "11/22(日)" with the weekday words of the dictionary. */
export function dateWithWeekday(at: number, t: Dictionary): string {
  return t.date(monthDay(at), t.weekdays.split(",")[tokyo(at).getUTCDay()] ?? "");
}

export function isSameDay(a: number, b: number): boolean {
  return Math.floor((a + TOKYO) / DAY) === Math.floor((b + TOKYO) / DAY);
}

/** "17:05" today, "11/21 17:05" on another day. */
export function timeOrDate(at: number, now: number): string {
  return isSameDay(at, now) ? hourMinute(at) : `${monthDay(at)} ${hourMinute(at)}`;
}

/** A length of time in its two largest units: "45秒", "12分", "2時間10分", "3日4時間". */
export function duration(ms: number, t: Dictionary): string {
  const span = Math.max(0, ms);
  if (span < MINUTE) return t.seconds(Math.floor(span / SECOND));
  if (span < HOUR) return t.minutes(Math.floor(span / MINUTE));
  if (span < DAY) return t.hours(Math.floor(span / HOUR), Math.floor((span % HOUR) / MINUTE));
  return t.days(Math.floor(span / DAY), Math.floor((span % DAY) / HOUR));
}

/** "3分前"; "たった今" under five seconds and for clocks slightly ahead. */
export function ago(at: number, now: number, t: Dictionary): string {
  return now - at < 5 * SECOND ? t.just_now : t.ago(duration(now - at, t));
}
