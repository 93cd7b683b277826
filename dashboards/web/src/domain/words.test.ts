import { describe, expect, it } from "vitest";
import { DICTIONARIES } from "../i18n/dictionaries";
import { alarmWord, kindWord, placeName, stageWord } from "../i18n/words";
import { station } from "../samples";
import { figure, figureWithUnit, isSuspect } from "./quantities";
import { ago, clockTime, duration, HOUR, isSameDay, MINUTE, SECOND, timeOrDate } from "./time";

const { ja, en } = DICTIONARIES;
const AT = Date.UTC(2026, 10, 22, 16, 5, 9); // 01:05:09 on the 23rd in Tokyo

describe("times", () => {
  it("are Japan's, whatever the browser's zone", () => {
    expect(clockTime(AT)).toBe("01:05:09");
    expect(timeOrDate(AT, AT + HOUR)).toBe("01:05");
    expect(timeOrDate(AT - 2 * HOUR, AT)).toBe("11/22 23:05");
    expect(isSameDay(AT, AT - 2 * HOUR)).toBe(false);
  });

  it("are told as spans in two units at most", () => {
    expect(duration(45 * SECOND, ja)).toBe("45秒");
    expect(duration(2 * HOUR + 10 * MINUTE, ja)).toBe("2時間10分");
    expect(duration(25 * HOUR, en)).toBe("1 d 1 h");
    expect(ago(AT - 3 * MINUTE, AT, ja)).toBe("3分前");
    expect(ago(AT + SECOND, AT, ja)).toBe("たった今");
  });
});

describe("figures", () => {
  it("have the digits and the unit of their quantity, and a true minus", () => {
    expect(figureWithUnit("water.level", 3.4)).toBe("3.40 m");
    expect(figureWithUnit("water.pressure", 350_000)).toBe("350 kPa");
    expect(figure("water.level", -0.25)).toBe("−0.25");
    expect(figure("water.level", -0.001)).toBe("0.00");
    expect(figure("water.level", 0.62, true)).toBe("+0.62");
    expect(figureWithUnit("something.new", 1.5)).toBe("1.50");
  });

  it("are suspect for range, spike, stuck and datum, not for clock and exercise", () => {
    expect([1, 2, 4, 8, 16, 32, 33].map(isSuspect)).toEqual([false, true, true, true, true, false, false]);
  });
});

describe("words", () => {
  it("of a stage are those of the kind of station", () => {
    expect(stageWord(ja, "caution", "river-gauge")).toBe("氾濫注意");
    expect(stageWord(ja, "caution", "flood-sensor")).toBe("冠水注意");
    expect(stageWord(en, "closed", "flood-sensor")).toBe("Road closed");
    expect(alarmWord(ja, { stage: "silent", rule_kind: "silence" }, "trap")).toBe("通信途絶");
  });

  it("that are unknown are shown as they come", () => {
    expect(stageWord(ja, "計画高水位", "river-gauge")).toBe("計画高水位");
    expect(kindWord(en, "tide-gauge")).toBe("tide-gauge");
  });

  it("of a place fall back to the other language and at last to the name", () => {
    expect(placeName(station({ label_en: "" }), "en")).toBe("中郷橋");
    expect(placeName(station({ label: "", label_en: "" }), "ja")).toBe("gauge-1");
  });
});
