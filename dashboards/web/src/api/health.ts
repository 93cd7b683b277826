// How devices are, as /api/device-health sends it. Times: ms UTC; shares 0–1; words in both languages.

import type { Language } from "../i18n/dictionaries";

export type Words = Readonly<Record<Language, string>>;

export interface Finding {
  readonly code: string;
  readonly severity: number; // 3 this week, 2 within weeks, 1 when somebody is there
  readonly title: Words;
  readonly reason: Words;
  readonly todo: Words;
  readonly due_days: number | null;
}

export interface BatteryHealth {
  readonly state: "forecast" | "lasting" | "empty" | "unsure" | "recharged" | "external" | "none";
  readonly unit: "V" | "%" | null;
  readonly level: number | null;
  readonly end: number | null;
  readonly days: number | null;
  readonly days_low: number | null;
  readonly days_high: number | null;
}

export interface HealthRow {
  readonly device: number;
  readonly name: string;
  readonly kind: string;
  readonly label: string;
  readonly label_en: string;
  readonly area: string;
  readonly assessed_at: number;
  readonly severity: number;
  readonly findings: readonly Finding[];
  readonly battery: BatteryHealth;
  readonly battery_words: Words;
  readonly battery_course: readonly { readonly at: number; readonly level: number }[];
  readonly link: {
    readonly margin: "good" | "fair" | "weak" | "edge" | null;
    readonly rssi: number | null;
    readonly rssi_weak: number | null;
    readonly snr: number | null;
    readonly snr_weak: number | null;
    readonly gateways: readonly { readonly gateway: string; readonly share: number; readonly rssi: number | null }[];
  };
  readonly firmware: { readonly version: string | null; readonly newest: string | null };
  readonly clock: { readonly late_s: number | null; readonly drift_s_per_day: number | null };
  readonly reporting: { readonly share: number | null; readonly longest_gap_s: number | null; readonly lost: number };
}

export interface HealthList {
  readonly at: number;
  readonly oldest_at: number | null;
  readonly assessed: number;
  readonly waiting: number;
  readonly total: number;
  readonly counts: Readonly<Record<string, number>>;
  readonly severities: Readonly<Record<string, number>>;
  readonly areas: readonly string[];
  readonly kinds: readonly string[];
  readonly devices: readonly HealthRow[];
}

export interface HealthFilter {
  readonly severity: number | null; // this one alone; null: all that ask for a hand
  readonly area: string | null;
  readonly kind: string | null;
}

export const NO_HEALTH_FILTER: HealthFilter = { severity: null, area: null, kind: null };

export function healthQuery(filter: HealthFilter, limit: number): string {
  const query = new URLSearchParams({ severity: String(filter.severity ?? 1), limit: String(limit) });
  if (filter.severity !== null) query.set("only", "true");
  if (filter.area !== null) query.set("area", filter.area);
  if (filter.kind !== null) query.set("kind", filter.kind);
  return query.toString();
}
