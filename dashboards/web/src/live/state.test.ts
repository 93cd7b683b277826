import { describe, expect, it } from "vitest";
import { alarm, station } from "../samples";
import { reduce, SILENT, type LiveState } from "./state";

const snapshot = (state: LiveState, stations = [station({ id: 1 }), station({ id: 2 })], alarms = [alarm({ id: "a" })]) =>
  reduce(state, { type: "snapshot", data: { revision: 1, at: 5000, stations, alarms }, heard_at: 4000 });

describe("live state", () => {
  it("is replaced as a whole by a snapshot", () => {
    const before = snapshot(SILENT, [station({ id: 9 })], [alarm({ id: "gone" })]);
    const after = snapshot(before);
    expect([...after.stations.keys()]).toEqual([1, 2]);
    expect([...after.alarms.keys()]).toEqual(["a"]);
    expect(after.has_snapshot).toBe(true);
  });

  it("takes over changed stations and alarms and keeps the others as they are", () => {
    const before = snapshot(SILENT);
    const changed = station({ id: 2, state: "danger", level: 4 });
    const after = reduce(before, {
      type: "changes",
      data: { at: 6000, stations: [changed], alarms: [alarm({ id: "b" })] },
      heard_at: 5100,
    });
    expect(after.stations.get(2)).toBe(changed);
    expect(after.stations.get(1)).toBe(before.stations.get(1));
    expect([...after.alarms.keys()]).toEqual(["a", "b"]);
    expect(before.stations.get(2)?.state).toBe("normal");
  });

  it("knows the difference between the server's clock and the browser's", () => {
    expect(snapshot(SILENT).offset_ms).toBe(1000);
  });

  it("keeps what it knows when the connection is lost, and says so", () => {
    const lost = reduce(snapshot(SILENT), { type: "disconnected" });
    expect(lost.is_connected).toBe(false);
    expect(lost.stations.size).toBe(2);
    expect(lost.heard_at).toBe(4000);
  });

  it("recalls cleared alarms without overriding what came live", () => {
    const live = snapshot(SILENT);
    const after = reduce(live, {
      type: "cleared",
      alarms: [alarm({ id: "a", state: "cleared" }), alarm({ id: "old", state: "cleared" }), alarm({ id: "stale" })],
    });
    expect(after.alarms.get("a")?.state).toBe("active");
    expect(after.alarms.get("old")?.state).toBe("cleared");
    expect(after.alarms.has("stale")).toBe(false);
  });
});
