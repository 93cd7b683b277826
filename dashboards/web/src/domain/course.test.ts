import { describe, expect, it } from "vitest";
import type { Samples } from "../api/types";
import { courseOf, gapAfter, windowOf, withLatest } from "./course";
import { HOUR, MINUTE } from "./time";

const samples = (rows: readonly (readonly [number, number, number?])[], quantity = "water.level"): Samples => ({
  series: 7, quantity, unit: "m",
  measured_at: rows.map(([minute]) => minute * MINUTE),
  value: rows.map(([, value]) => value),
  quality: rows.map(([, , quality]) => quality ?? 0),
});

describe("a course", () => {
  it("breaks the line where readings are missing for longer than a gap", () => {
    const course = courseOf(samples([[0, 1], [10, 2], [60, 3]]), 30 * MINUTE);
    expect(course.line).toEqual([1, 2, null, 3]);
    expect(course.at_s).toEqual([0, 600, 2100, 3600]);
  });

  it("keeps suspect readings apart: not on the line, not in its range, and no break", () => {
    const course = courseOf(samples([[0, 1], [10, -13.498, 4], [20, 2]]), 30 * MINUTE);
    expect(course.line).toEqual([1, undefined, 2]);
    expect(course.suspect).toEqual([null, -13.498, null]);
    expect([course.low, course.high, course.last]).toEqual([1, 2, 2]);
  });

  it("does not take a run of suspect readings for data: the line breaks across it", () => {
    const course = courseOf(samples([[0, 1], [20, 9, 4], [40, 9, 4], [60, 2]]), 30 * MINUTE);
    expect(course.line).toEqual([1, undefined, undefined, null, 2]);
  });

  it("is in the unit shown", () => {
    expect(courseOf(samples([[0, 0.05]], "paddy.depth"), MINUTE).line).toEqual([50]);
  });

  it("is empty for no samples", () => {
    expect(courseOf(samples([]), MINUTE)).toMatchObject({ at_s: [], low: null, high: null, last: null });
  });

  it("takes a newer live reading at its end, once, and never of another series", () => {
    const stored = samples([[0, 1], [10, 2]]);
    const newer = { series: 7, value: 3, measured_at: 20 * MINUTE, quality: 0 };
    expect(withLatest(stored, newer).value).toEqual([1, 2, 3]);
    expect(withLatest(withLatest(stored, newer), newer).value).toEqual([1, 2, 3]);
    expect(withLatest(stored, { ...newer, series: 8 })).toBe(stored);
  });

  it("has gaps of three intervals, or wider where points are thinned", () => {
    expect(gapAfter(600, 3 * 3_600_000, 800)).toBe(1_800_000);
    expect(gapAfter(10, 7 * 86_400_000, 800)).toBe(3_024_000);
  });
});

describe("the time that a chart shows", () => {
  const until = 10 * HOUR;
  const since = (minutes: number) => courseOf(samples([[600 - minutes, 1], [600, 2]]), HOUR);

  it("is the span asked for where the readings fill a good part of it", () => {
    expect(windowOf(since(170), until, 3 * HOUR)).toEqual({ start_at: 7 * HOUR, end_at: until, is_shortened: false });
    expect(windowOf(since(100), until, 3 * HOUR).is_shortened).toBe(false);
  });

  it("begins with the first reading where that is much shorter", () => {
    const shown = windowOf(since(60), until, 24 * HOUR);
    expect(shown.is_shortened).toBe(true);
    expect((until - shown.start_at) / MINUTE).toBeCloseTo(62.4);
  });

  it("is never less than a quarter of an hour, so that a minute of data is no vertical stroke", () => {
    expect(windowOf(since(1), until, 3 * HOUR).start_at).toBe(until - 15 * MINUTE);
  });

  it("reaches to now for a station that is silent, and past now for a reading that is newer", () => {
    expect(windowOf(since(30), until + HOUR, 3 * HOUR).end_at).toBe(until + HOUR);
    expect(windowOf(since(30), until - MINUTE, 3 * HOUR).end_at).toBe(until);
  });
});
