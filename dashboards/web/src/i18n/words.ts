// Words that depend on a value: states, stages, kinds, roles, channels. Unknown words are shown as
// they come, so that a city's own stage or kind is never hidden.

import type { Alarm, Role, Station, StationState } from "../api/types";
import type { Dictionary, Language } from "./dictionaries";

export function stateWord(t: Dictionary, state: StationState): string {
  return t[`state_${state}`];
}

/** A state or stage in the words of its kind of station: a river's "caution" is 氾濫注意. */
export function stageWord(t: Dictionary, stage: string, kind: string | undefined): string {
  const special = `${kindFamily(kind)}_${stage.replaceAll("-", "_")}`;
  if (special in t) return t[special as "river_caution"];
  if (stage === "silent" || stage === "silence") return t.silence;
  const general = `state_${stage}`;
  return general in t ? t[general as "state_normal"] : stage;
}

function kindFamily(kind: string | undefined): string {
  if (kind === "river-gauge") return "river";
  if (kind === "flood-sensor") return "flood";
  if (kind === "satomori") return "own";
  return kind === "trap" ? "trap" : "";
}

export function alarmWord(
  t: Dictionary,
  alarm: Pick<Alarm, "stage" | "rule_kind">,
  kind: string | undefined,
): string {
  return alarm.rule_kind === "silence" && kind !== "satomori" ? t.silence : stageWord(t, alarm.stage, kind);
}

export function kindWord(t: Dictionary, kind: string): string {
  const key = `kind_${kind.replaceAll("-", "_")}`;
  return key in t ? t[key as "kind_trap"] : kind;
}

/** Why a list of stations is empty, and whom to ask. */
export function noStations(t: Dictionary, role: Role): string {
  if (role === "owner") return t.no_stations_owner;
  return role === "public" ? t.no_stations_public : t.no_stations;
}

export function roleWord(t: Dictionary, role: Role): string {
  return t[`role_${role}`];
}

export function channelWord(t: Dictionary, channel: string): string {
  const key = `channel_${channel}`;
  return key in t ? t[key as "channel_mail"] : channel;
}

export function deliveryWord(t: Dictionary, state: string): string {
  const key = `delivery_${state}`;
  return key in t ? t[key as "delivery_sent"] : state;
}

export function placeName(
  place: Pick<Station, "label" | "label_en"> & { readonly name: string },
  language: Language,
): string {
  const chosen = language === "ja" ? place.label : place.label_en;
  return chosen || place.label || place.name;
}
