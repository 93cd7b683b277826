import { describe, expect, it } from "vitest";
import type { ProcessState, ServerClock } from "../api/types";
import { HOUR, MINUTE } from "../domain/time";
import { station } from "../samples";
import { pauseBefore } from "./connection";
import { isFieldQuiet, judgeFeed, newestReceived, STALE_AFTER_MS } from "./faults";
import { reduce, SILENT, type LiveState } from "./state";

const NOW = 1_800_000_000_000;

function heard(clock: Partial<ServerClock> = {}, processes: Record<string, ProcessState> = {}): LiveState {
  const stations = [station({ id: 1, last_received_at: NOW - MINUTE })];
  const seen = { intake: "up", alerts: "up", web: "up", ...processes } as Record<string, ProcessState>;
  const state = reduce(SILENT, { type: "snapshot", data: { revision: 1, at: NOW, stations, alarms: [] }, heard_at: NOW });
  return reduce(state, {
    type: "clock",
    data: {
      at: NOW, broker: "up", lanes: {}, store: { state: "up", reason: null, since: null },
      processes: Object.fromEntries(Object.entries(seen).map(([name, state]) => [name, { state, seen_at: NOW }])),
      ...clock,
    },
    heard_at: NOW,
  });
}

const faultsAt = (state: LiveState, now: number) => {
  const feed = judgeFeed(state, now, NOW);
  return feed.kind === "fault" ? feed.faults : feed.kind;
};

describe("the feed", () => {
  it("is trusted while everything is up and heard", () => {
    expect(faultsAt(heard(), NOW + 1000)).toBe("ok");
  });

  it("is connecting at first, and a fault when nothing ever comes", () => {
    expect(faultsAt(SILENT, NOW + 1000)).toBe("connecting");
    expect(faultsAt(SILENT, NOW + STALE_AFTER_MS + 1)).toEqual(["no_events"]);
  });

  it("is a fault once the server has been silent for ten seconds, not before", () => {
    expect(faultsAt(heard(), NOW + STALE_AFTER_MS)).toBe("ok");
    expect(faultsAt(heard(), NOW + STALE_AFTER_MS + 1)).toEqual(["no_events"]);
  });

  it.each([
    ["broker down", heard({ broker: "down" }), ["broker_down"]],
    ["intake down", heard({}, { intake: "down" }), ["intake_down"]],
    ["intake stale", heard({}, { intake: "stale" }), ["intake_down"]],
    ["alerts down", heard({}, { alerts: "down" }), ["alerts_down"]],
    ["intake down, and so nobody who knows the broker", heard({ broker: "unknown" }, { intake: "down" }), ["intake_down"]],
    ["a broker of which nothing is said", heard({ broker: "unknown" }), ["broker_unknown"]],
    ["both down", heard({ broker: "down" }, { alerts: "stale" }), ["broker_down", "alerts_down"]],
  ])("is a fault with %s", (_what, state, faults) => {
    expect(faultsAt(state, NOW + 1000)).toEqual(faults);
  });

  it("is a fault when no station has sent anything for long", () => {
    const quiet = { ...heard(), stations: new Map([[1, station({ last_received_at: NOW - HOUR })]]) };
    expect(faultsAt(quiet, NOW + 1000)).toEqual(["no_data"]);
  });
});

describe("a quiet field", () => {
  it("is not less quiet because the installation speaks of itself", () => {
    const itself = station({ kind: "satomori", last_received_at: NOW, interval_s: 10 });
    expect(isFieldQuiet([itself, station({ last_received_at: NOW - 5 * HOUR })], NOW)).toBe(true);
    expect(newestReceived(new Map([[9, itself]]))).toBeNull();
  });

  it("is measured by the newest station and the shortest interval", () => {
    const slow = station({ last_received_at: NOW - 5 * HOUR, interval_s: 86_400 });
    expect(isFieldQuiet([slow], NOW)).toBe(false);
    expect(isFieldQuiet([slow, station({ last_received_at: NOW - 29 * MINUTE })], NOW)).toBe(false);
    expect(isFieldQuiet([slow, station({ last_received_at: NOW - 31 * MINUTE })], NOW)).toBe(true);
  });

  it("is not said of stations that were never heard: those are unknown one by one", () => {
    expect(isFieldQuiet([station({ last_received_at: null })], NOW)).toBe(false);
    expect(isFieldQuiet([], NOW)).toBe(false);
  });
});

describe("the pause before a new attempt", () => {
  it("grows to a quarter of a minute and is spread by chance", () => {
    expect(pauseBefore(0, 0.5)).toBe(500);
    expect(pauseBefore(99, 0.5)).toBe(15_000);
    expect(pauseBefore(3, 0)).toBeLessThan(pauseBefore(3, 0.99));
  });
});
