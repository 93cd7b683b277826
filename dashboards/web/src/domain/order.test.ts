import { describe, expect, it } from "vitest";
import { alarm, station } from "../samples";
import { groupAlarms, newlyUrgent, nextStage, NO_FILTER, passes, sortAlarmsOf, sortStations } from "./order";
import { alarmState } from "./states";

const ids = (some: readonly { readonly id: unknown }[]) => some.map(({ id }) => id);

describe("the alarm list", () => {
  it("has unacknowledged first, by level and then the newest, drills behind reality", () => {
    const groups = groupAlarms([
      alarm({ id: "low", level: 1, opened_at: 9 }),
      alarm({ id: "old", level: 4, opened_at: 1 }),
      alarm({ id: "drill", level: 5, opened_at: 9, is_exercise: true }),
      alarm({ id: "new", level: 4, opened_at: 5 }),
      alarm({ id: "known", level: 5, acknowledged_at: 7 }),
      alarm({ id: "over", level: 5, state: "cleared", cleared_at: 8 }),
    ]);
    expect(ids(groups.unacknowledged)).toEqual(["new", "old", "low", "drill"]);
    expect(ids(groups.acknowledged)).toEqual(["known"]);
    expect(ids(groups.cleared)).toEqual(["over"]);
  });

  it("shows a station's active alarms, or else the one that changed last", () => {
    const over = alarm({ id: "over", state: "cleared", changed_at: 5 });
    const before = alarm({ id: "before", state: "cleared", changed_at: 3 });
    expect(ids(sortAlarmsOf(1, [before, over, alarm({ id: "other", device: 2 })]))).toEqual(["over"]);
    expect(ids(sortAlarmsOf(1, [before, over, alarm({ id: "on" })]))).toEqual(["on"]);
  });

  it("announces what is new or has risen, never what fell, cleared or was found later", () => {
    const told = new Map([["same", 2], ["rose", 2], ["fell", 4]]);
    const heard = newlyUrgent(told, [
      alarm({ id: "same" }), alarm({ id: "rose", level: 4 }), alarm({ id: "fell", level: 2 }), alarm({ id: "new" }),
      alarm({ id: "late", is_historic: true }), alarm({ id: "over", state: "cleared" }),
    ]);
    expect(ids(heard)).toEqual(["rose", "new"]);
  });

  it("draws an alarm by its stage, silence as unknown, a city's own stage by its level", () => {
    expect(alarmState(alarm({ stage: "danger", level: 4 }))).toBe("danger");
    expect(alarmState(alarm({ rule_kind: "silence", stage: "silent", level: 1 }))).toBe("unknown");
    expect(alarmState(alarm({ stage: "計画高水位", level: 5 }))).toBe("flooding");
    expect(alarmState(alarm({ rule_kind: "event", stage: "sprung", level: 2 }))).toBe("triggered");
  });
});

describe("stations", () => {
  it("are sorted most urgent first, and silence before calm", () => {
    const sorted = sortStations([
      station({ id: 1 }), station({ id: 2, state: "unknown" }), station({ id: 3, state: "flooding", level: 5 }),
      station({ id: 4, state: "caution", level: 2 }), station({ id: 5, state: "standby", level: 1 }),
    ]);
    expect(ids(sorted)).toEqual([3, 4, 2, 5, 1]);
  });

  it("pass a filter by kind, state and words in either language", () => {
    const one = station({ state: "danger" });
    expect(passes(one, NO_FILTER)).toBe(true);
    expect(passes(one, { ...NO_FILTER, kind: "trap" })).toBe(false);
    expect(passes(one, { ...NO_FILTER, states: new Set(["danger"]) })).toBe(true);
    expect(passes(one, { ...NO_FILTER, states: new Set(["normal"]) })).toBe(false);
    expect(passes(one, { ...NO_FILTER, text: " NAKAGO " })).toBe(true);
    expect(passes(one, { ...NO_FILTER, text: "中郷" })).toBe(true);
    expect(passes(one, { ...NO_FILTER, text: "東郷" })).toBe(false);
  });

  it("tell the next stage above the water, none above the highest", () => {
    const thresholds = { caution: 3, danger: 4.5 };
    expect(nextStage(thresholds, 3.5)).toEqual({ stage: "danger", distance: 1 });
    expect(nextStage(thresholds, 3)).toEqual({ stage: "danger", distance: 1.5 });
    expect(nextStage(thresholds, 5)).toBeNull();
    expect(nextStage({}, 5)).toBeNull();
  });
});
