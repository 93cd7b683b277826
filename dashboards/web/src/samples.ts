// Stations and alarms for tests: calm ones, to be changed where a test needs it.

import type { Alarm, Station } from "./api/types";

export function station(changes: Partial<Station> = {}): Station {
  return {
    id: 1, name: "gauge-1", kind: "river-gauge", lane: "urgent", label: "中郷橋", label_en: "Nakago Bridge", site: "", area: "川内",
    latitude: 31.8, longitude: 130.3, state: "normal", level: 0, state_since: null, last_received_at: 0,
    interval_s: 600, latest: {}, rise_per_h: null, main: "water.level", thresholds: {}, alarm_ids: [],
    ...changes,
  };
}

export function alarm(changes: Partial<Alarm> = {}): Alarm {
  return {
    id: "a", device: 1, device_name: "gauge-1", label: "中郷橋", label_en: "Nakago Bridge", area: "川内",
    rule: "river", rule_kind: "stages", state: "active", level: 2, stage: "caution", value: 3.1, peak_level: 2,
    peak_value: 3.1, opened_at: 0, changed_at: 0, cleared_at: null, acknowledged_at: null, acknowledged_by: null,
    acknowledge_comment: null, is_verified: true, is_historic: false, is_exercise: false, withdrawn_at: null,
    ...changes,
  };
}
