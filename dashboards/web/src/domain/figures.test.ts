import { describe, expect, it } from "vitest";
import { alarm, station } from "../samples";
import { alarmPeak, alarmValue } from "./figures";

const river = station({ latest: { "water.level": { series: 1, value: 3.4, measured_at: 0, quality: 0 } } });

describe("an alarm's figures", () => {
  it("are the value now and the highest while it was open", () => {
    const rising = alarm({ value: 3.1, peak_value: 4.27 });
    expect(alarmValue(rising, river)).toBe("3.40 m");
    expect(alarmPeak(rising, river)).toBe("4.27 m");
    expect(alarmPeak(alarm({ state: "cleared", level: 0, peak_value: 4.27 }), river)).toBe("4.27 m");
  });

  it("have no peak while nothing is verified", () => {
    expect(alarmPeak(alarm({ is_verified: false, value: 17, peak_value: null }), river)).toBeNull();
  });

  it("are none for silence and events", () => {
    for (const rule_kind of ["silence", "event"]) {
      expect(alarmPeak(alarm({ rule_kind, peak_value: 1 }), river)).toBeNull();
      expect(alarmValue(alarm({ rule_kind, value: 1 }), river)).toBeNull();
    }
  });
});
