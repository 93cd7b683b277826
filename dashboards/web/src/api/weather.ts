// What /api/warnings answers: JMA's warnings and rain, times in ms UTC.

export interface Warning {
  readonly area_code: string;
  readonly area_name: string;
  readonly code: string;
  readonly group: string;
  readonly name: string;
  readonly name_en: string;
  readonly level: number | null;
  readonly status: string;
  readonly reported_at: number;
  readonly valid_until: number | null;
  readonly is_expired: boolean;
  readonly is_exercise: boolean;
  readonly publisher: string;
  readonly url: string;
}

export interface WarnedArea {
  readonly code: string;
  readonly name: string | null;
  readonly is_known: boolean;
  readonly unknown_groups: readonly string[];
}

export interface Rain {
  readonly area_code: string;
  readonly area_name: string;
  readonly place: string;
  readonly quantity: string;
  readonly quantity_en: string;
  readonly from_at: number;
  readonly to_at: number;
  readonly value_mm: number;
  readonly words: string;
  readonly is_forecast: boolean;
  readonly is_exercise: boolean;
  readonly reported_at: number;
  readonly publisher: string;
}

export interface Bulletin {
  readonly title: string;
  readonly headline: string;
  readonly reported_at: number;
  readonly is_exercise: boolean;
  readonly publisher: string;
  readonly url: string;
  readonly tags: readonly { readonly name: string; readonly name_en: string; readonly level: number | null; readonly area_name: string }[];
  readonly rain: readonly Rain[];
}

export interface Weather {
  readonly is_configured: boolean;
  readonly at: number;
  readonly as_of: number | null;
  readonly is_stale: boolean;
  readonly stale_after_s: number;
  readonly areas: readonly WarnedArea[];
  readonly warnings: readonly Warning[];
  readonly bulletins: readonly Bulletin[];
  readonly rain: readonly Rain[];
}
