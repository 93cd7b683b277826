import { describe, expect, it } from "vitest";
import type { Samples } from "../api/types";
import { courseOf, gapAfter, withLatest } from "./course";
import { MINUTE } from "./time";

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
