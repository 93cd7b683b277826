import { describe, expect, it } from "vitest";
import type { Rain, Warning, Weather } from "../api/weather";
import { HOUR, MINUTE } from "./time";
import { mostRain, standingOf, together } from "./weather";

const NOW = Date.UTC(2026, 10, 22, 16, 0, 0);

const warning = (more: Partial<Warning> = {}): Warning => ({
  area_code: "4621500", area_name: "薩摩川内市", code: "03", group: "rain", name: "レベル３大雨警報", name_en: "", level: 3,
  status: "発表", reported_at: NOW, valid_until: null, is_expired: false, is_exercise: false, publisher: "", url: "", ...more,
});

const weather = (more: Partial<Weather> = {}): Weather => ({
  is_configured: true, at: NOW, as_of: NOW, is_stale: false, stale_after_s: 600,
  areas: [{ code: "4621500", name: "薩摩川内市", is_known: true, unknown_groups: [] }],
  warnings: [], bulletins: [], rain: [], ...more,
});

const rain = (more: Partial<Rain>): Rain => ({
  area_code: "4621500", area_name: "薩摩川内市", place: "", quantity: "１時間最大雨量", quantity_en: "", from_at: NOW, to_at: NOW + 3 * HOUR,
  value_mm: 10, words: "", is_forecast: true, is_exercise: false, reported_at: NOW, publisher: "", ...more,
});

describe("what is in force", () => {
  it("is calm only when everything is known and fresh", () => {
    expect(standingOf(weather(), NOW)).toBe("calm");
    expect(standingOf(weather(), NOW + 11 * MINUTE)).toBe("stale");
    expect(standingOf(weather({ as_of: null }), NOW)).toBe("never");
    const half = [{ code: "4621500", name: null, is_known: false, unknown_groups: ["rain"] }];
    expect(standingOf(weather({ areas: half }), NOW)).toBe("partly");
  });

  it("is not calm with a warning, and calm with a drill", () => {
    expect(standingOf(weather({ warnings: [warning()] }), NOW)).toBe("warned");
    expect(standingOf(weather({ warnings: [warning({ is_exercise: true })] }), NOW)).toBe("calm");
  });

  it("puts areas of one warning together, and drills apart", () => {
    const groups = together([warning(), warning({ area_name: "出水市" }), warning({ is_exercise: true })]);
    expect(groups.map((group) => group.areas)).toEqual([["薩摩川内市", "出水市"], ["薩摩川内市"]]);
  });
});

describe("rain", () => {
  it("is the most of the next day, never what is past, far or a drill", () => {
    const found = mostRain(
      [
        rain({ value_mm: 20 }), rain({ value_mm: 50, from_at: NOW + 3 * HOUR, to_at: NOW + 6 * HOUR }),
        rain({ value_mm: 90, from_at: NOW - 3 * HOUR, to_at: NOW }), rain({ value_mm: 90, from_at: NOW + 25 * HOUR, to_at: NOW + 28 * HOUR }),
        rain({ value_mm: 90, is_exercise: true }),
      ],
      NOW,
    );
    expect(found.map((one) => one.value_mm)).toEqual([50]);
  });
});
