import { describe, expect, it } from "vitest";
import type { LaneReport, ServerClock } from "../api/types";
import { delayedLanes, delaysOf } from "./delays";

const OK: LaneReport = { state: "ok", lag_s: 0, steps: { intake: 0, alerts: 0, store: 0 }, behind: [] };

function clock(lanes: ServerClock["lanes"], store: Partial<ServerClock["store"]> = {}): ServerClock {
  return { at: 0, broker: "up", processes: {}, lanes, store: { state: "up", reason: null, since: null, ...store } };
}

function behind(step: "intake" | "alerts" | "store", lag_s: number): LaneReport {
  return { state: "behind", lag_s, steps: { ...OK.steps, [step]: lag_s }, behind: [step] };
}

describe("a delay", () => {
  it("is nothing while every lane is in time", () => {
    expect(delaysOf(null)).toEqual([]);
    expect(delaysOf(clock({ urgent: OK, routine: OK }))).toEqual([]);
  });

  it("of meters says that flood is in time", () => {
    const said = clock({ urgent: OK, routine: behind("intake", 720) });
    expect(delaysOf(said)).toEqual([{ step: "intake", lane: "routine", lag_s: 720, is_other_ok: true }]);
    expect([...delayedLanes(said)]).toEqual(["routine"]);
  });

  it("says nothing good of a lane that is not known", () => {
    const unknown: LaneReport = { state: "unknown", lag_s: 0, steps: {}, behind: [] };
    expect(delaysOf(clock({ urgent: unknown, routine: behind("intake", 90) }))[0]).toMatchObject({ is_other_ok: false });
  });

  it("of flood comes before that of meters, and before the store's", () => {
    const said = clock({ urgent: behind("alerts", 30), routine: behind("intake", 90) }, { state: "down", reason: "no answer", since: 5 });
    expect(delaysOf(said).map(({ step }) => step)).toEqual(["intake", "alerts", "store_down"]);
    expect(delaysOf(clock({ urgent: behind("intake", 8), routine: behind("intake", 90) })).map((d) => "lane" in d && d.lane)).toEqual(["urgent", "routine"]);
  });

  it("of the store leaves the values on the page as new as they are", () => {
    const said = clock({ urgent: behind("store", 90), routine: behind("store", 300) });
    expect(delaysOf(said)).toEqual([{ step: "store", lag_s: 300 }]);
    expect(delayedLanes(said).size).toBe(0);
  });
});
