import { describe, expect, it } from "vitest";
import type { ConsumptionInterval } from "../api/types";
import { barsOf, barTime, barWord, spanOf } from "./consumption";
import { DAY, HOUR } from "./time";

const MIDNIGHT = Date.UTC(2026, 2, 31, 15); // 2026-04-01 00:00 in Japan

const interval = (changes: Partial<ConsumptionInterval>): ConsumptionInterval => ({
  from: MIDNIGHT, to: MIDNIGHT + DAY, value_m3: 0.5, remarks: [], share_measured: 1, ...changes,
});

describe("bars", () => {
  it("are whole, hollow or missing, and what is missing is no zero", () => {
    const bars = barsOf([
      interval({}),
      interval({ share_measured: 0.5, remarks: ["gap"], value_m3: 0.2 }),
      interval({ share_measured: 0, remarks: ["gap"], value_m3: null }),
      interval({ value_m3: 0 }),
    ]);
    expect(bars.whole).toEqual([0.5, null, null, 0]);
    expect(bars.partial).toEqual([null, 0.2, null, null]);
    expect([bars.missing, bars.most]).toEqual([1, 0.5]);
    expect(bars.total).toBeCloseTo(0.7);
  });

  it("tell what happened to the meter, not what is drawn already", () => {
    const bars = barsOf([interval({ remarks: ["estimated", "gap", "swap", "left_out"] })]);
    expect(bars.events.map(({ remark }) => remark)).toEqual(["swap", "left_out"]);
  });

  it("are none for nothing", () => {
    expect(barsOf([])).toMatchObject({ at: [], total: 0, most: 0, missing: 0 });
  });
});

describe("the span asked for", () => {
  const now = MIDNIGHT + 10 * HOUR;

  it("ends with the newest reading and begins at a border of Japan", () => {
    const newest = now - 20 * 60_000;
    expect(spanOf("day", newest, 3600, now)).toEqual({ from: MIDNIGHT - 29 * DAY, to: newest });
    expect(spanOf("hour", newest, 3600, now)).toEqual({ from: MIDNIGHT - 38 * HOUR, to: newest });
    expect(spanOf("month", newest, 3600, now).from).toBe(Date.UTC(2025, 3, 30, 15));
  });

  it("reaches to now for a meter that is silent", () => {
    expect(spanOf("day", now - 4 * HOUR, 3600, now).to).toBe(now);
  });

  it("never reaches past now", () => {
    expect(spanOf("day", now + HOUR, 3600, now).to).toBe(now);
  });
});

describe("a bar's word", () => {
  it("is its hour, day or month", () => {
    expect(barWord("hour", MIDNIGHT + 5 * HOUR)).toBe("05:00");
    expect(barWord("hour", MIDNIGHT)).toBe("4/1");
    expect(barWord("day", MIDNIGHT)).toBe("4/1");
    expect(barWord("month", MIDNIGHT)).toBe("2026/4");
    expect(barTime("hour", MIDNIGHT + 5 * HOUR)).toBe("4/1 05:00");
  });
});
