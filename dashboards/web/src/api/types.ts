// What the HTTP API sends. Times are integer milliseconds UTC, keys as on the wire.

export const STATION_STATES = [
  "flooding", "danger", "closed", "evacuation", "triggered", "caution",
  "suspect", "unknown", "standby", "normal",
] as const;

/** Most urgent first; silence ranks above "standby" because it is never safety. */
export type StationState = (typeof STATION_STATES)[number];

export type Role = "admin" | "disaster" | "waterworks" | "agriculture" | "owner" | "public";

export interface Me {
  readonly id: number;
  readonly name: string;
  readonly display_name: string;
  readonly role: Role;
  readonly language: string;
}

export interface LatestValue {
  readonly series: number;
  readonly value: number;
  readonly measured_at: number;
  readonly quality: number;
}

export interface Station {
  readonly id: number;
  readonly name: string;
  readonly kind: string;
  readonly lane: Lane;
  readonly label: string;
  readonly label_en: string;
  readonly site: string;
  readonly area: string;
  readonly latitude: number | null;
  readonly longitude: number | null;
  readonly state: StationState;
  readonly level: number;
  readonly state_since: number | null;
  readonly last_received_at: number | null;
  readonly interval_s: number;
  readonly latest: Readonly<Record<string, LatestValue>>;
  readonly rise_per_h: number | null;
  readonly main: string | null;
  readonly thresholds: Readonly<Record<string, number>>;
  readonly alarm_ids: readonly string[];
}

export interface Alarm {
  readonly id: string;
  readonly device: number;
  readonly device_name: string;
  readonly label: string;
  readonly label_en: string;
  readonly area: string;
  readonly rule: string;
  readonly rule_kind: string;
  readonly state: "active" | "cleared";
  readonly level: number;
  readonly stage: string;
  readonly value: number | null;
  readonly peak_level: number;
  readonly peak_value: number | null;
  readonly opened_at: number;
  readonly changed_at: number;
  readonly cleared_at: number | null;
  readonly acknowledged_at: number | null;
  readonly acknowledged_by: string | null;
  readonly acknowledge_comment: string | null;
  readonly is_verified: boolean;
  readonly is_historic: boolean;
  readonly is_exercise: boolean;
  readonly withdrawn_at: number | null; // a late reading said that it never was
}

export interface Snapshot {
  readonly revision: number;
  readonly at: number;
  readonly stations: readonly Station[];
  readonly alarms: readonly Alarm[];
}

export interface Changes {
  readonly at: number;
  readonly stations: readonly Station[];
  readonly alarms: readonly Alarm[];
}

export type ProcessState = "up" | "down" | "stale";

export type Lane = "urgent" | "routine";

export interface LaneReport {
  readonly state: "ok" | "behind" | "unknown";
  readonly lag_s: number;
  readonly steps: Readonly<Partial<Record<"intake" | "alerts" | "store", number>>>;
  readonly behind: readonly ("intake" | "alerts" | "store")[];
}

export interface ServerClock {
  readonly at: number;
  readonly processes: Readonly<Record<string, { readonly state: ProcessState; readonly seen_at: number | null }>>;
  readonly broker: "up" | "down" | "unknown"; // unknown while intake does not report
  readonly lanes: Readonly<Partial<Record<Lane, LaneReport>>>;
  readonly store: { readonly state: "up" | "down"; readonly reason: string | null; readonly since: number | null };
}

export interface Transition {
  readonly measured_at: number;
  readonly committed_at: number;
  readonly from_stage: string;
  readonly to_stage: string;
  readonly from_level: number;
  readonly to_level: number;
  readonly value: number | null;
  readonly is_correction: boolean;
  readonly withdrawn_at: number | null; // a late reading said otherwise
}

export interface Delivery {
  readonly person: string | null;
  readonly channel: string;
  readonly address: string;
  readonly state: string;
  readonly is_withdrawal: boolean;
  readonly attempts: number;
  readonly sent_at: number | null;
  readonly maybe_repeated: boolean;
  readonly last_error: string | null;
}

export interface AlarmDetail extends Alarm {
  readonly transitions: readonly Transition[];
  readonly deliveries: readonly Delivery[];
}

export interface SequenceGap {
  readonly first: number;
  readonly last: number;
  readonly at: number;
}

export interface StationDetail extends Station {
  readonly series: readonly { readonly series: number; readonly quantity: string; readonly unit: string }[];
  readonly gaps: readonly SequenceGap[];
}

export interface Samples {
  readonly series: number;
  readonly quantity: string;
  readonly unit: string;
  readonly measured_at: readonly number[];
  readonly value: readonly number[];
  readonly quality: readonly number[];
}

export type ConsumptionStep = "hour" | "day" | "month";

export type ConsumptionRemark = "estimated" | "gap" | "rollover" | "swap" | "reset" | "reversed" | "left_out";

/** [from, to); `value_m3` is null where nothing is known, never 0. */
export interface ConsumptionInterval {
  readonly from: number;
  readonly to: number;
  readonly value_m3: number | null;
  readonly remarks: readonly ConsumptionRemark[];
  readonly share_measured: number;
}

export interface MapConfig {
  readonly center: readonly [number, number];
  readonly zoom: number;
  readonly tiles: string | null;
  readonly attribution: string | null;
}
