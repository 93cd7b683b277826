// What is said of a device that is accepted, from the fields of a form. Empty means not said.

import type { Acceptance, Candidate } from "../api/waiting";

/** The kinds that a device may be registered as, in the order in which they are offered. */
export const KINDS = [
  "flood-sensor", "river-gauge", "weather-station", "water-meter", "zone-meter", "pressure-logger",
  "paddy-node", "irrigation-gate", "greenhouse-node", "barn-node", "collar", "calving-thermometer",
  "trap", "gateway",
] as const;

const NAME = /^[A-Za-z0-9_-]{1,64}$/;

export type Fault = "name" | "kind" | "position";

/** A pair of degrees as people paste it from a map: "31.8135, 130.3129"; null: none, NaN: wrong. */
export function position(text: string): readonly [number, number] | null | undefined {
  if (text.trim() === "") return null;
  const found = /^\s*(-?\d+(?:\.\d+)?)\s*[,、\s]\s*(-?\d+(?:\.\d+)?)\s*$/.exec(text.normalize("NFKC"));
  if (found === null) return undefined;
  const [latitude, longitude] = [Number(found[1]), Number(found[2])];
  return Math.abs(latitude) <= 90 && Math.abs(longitude) <= 180 ? [latitude, longitude] : undefined;
}

export function isName(text: string): boolean {
  return NAME.test(text);
}

/** The request, or which field is wrong. */
export function acceptance(candidate: Candidate, form: FormData, is_sure: boolean): Acceptance | Fault {
  const said = (field: string) => String(form.get(field) ?? "").trim();
  const replaces = said("as") === "unit" || candidate.present !== null;
  const place = position(said("position"));
  const name = said("name");
  if (!isName(name)) return "name";
  if (!replaces && said("kind") === "") return "kind";
  if (place === undefined) return "position";
  return {
    name,
    kind: said("kind"),
    label: said("label"),
    area: said("area"),
    latitude: place === null ? null : place[0],
    longitude: place === null ? null : place[1],
    codec: said("codec") || null,
    replaces,
    since_first_heard: said("since") === "heard",
    is_sure,
  };
}
