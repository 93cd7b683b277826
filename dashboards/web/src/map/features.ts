// Stations as the points that the map draws.

import type { Station } from "../api/types";
import { figureWithUnit, isFlag } from "../domain/quantities";
import { isSilentInDanger, levelState, urgency } from "../domain/states";
import type { Dictionary, Language } from "../i18n/dictionaries";
import { placeName, stageWord, stateWord } from "../i18n/words";
import { markName, STALE_MARK, placeImageName, tagName } from "./images";

export function isPlaced(station: Station): boolean {
  return station.latitude !== null && station.longitude !== null;
}

/** "3.42 m ↑", or the state in words where a number says nothing. */
export function tagValue(station: Station, t: Dictionary): string {
  const latest = station.main === null ? undefined : station.latest[station.main];
  if (isSilentInDanger(station)) return t.unknown_last(stateWord(t, levelState(station.level)));
  if (station.state === "unknown") return t.state_unknown;
  if (latest === undefined || isFlag(station.main)) return stageWord(t, station.state, station.kind);
  return `${figureWithUnit(station.main, latest.value)}${arrow(station.rise_per_h)}`;
}

const STEADY_M_PER_H = 0.02;

/** Which way the water goes, by the rise per hour; nothing while it is steady. */
export function arrow(rise_per_h: number | null): string {
  if (rise_per_h === null || Math.abs(rise_per_h) < STEADY_M_PER_H) return "";
  return rise_per_h > 0 ? " ↑" : " ↓";
}

export function stationPoints(
  stations: Iterable<Station>,
  t: Dictionary,
  language: Language,
  isStale: (station: Station) => boolean,
): GeoJSON.FeatureCollection<GeoJSON.Point> {
  const features: GeoJSON.Feature<GeoJSON.Point>[] = [];
  for (const station of stations) {
    if (station.latitude === null || station.longitude === null) continue;
    features.push({
      type: "Feature",
      geometry: { type: "Point", coordinates: [station.longitude, station.latitude] },
      properties: {
        id: station.id,
        mark: station.state === "normal" && isStale(station) ? STALE_MARK : markName(station.state, station.level),
        urgency: urgency(station),
        tag: tagName(station.state, placeName(station, language), tagValue(station, t)),
      },
    });
  }
  return { type: "FeatureCollection", features };
}

/** The base map with the name of the image for each place name. */
export function withPlaceImages(
  basemap: GeoJSON.FeatureCollection,
  language: Language,
): GeoJSON.FeatureCollection {
  return {
    ...basemap,
    features: basemap.features.map((feature) => {
      if (feature.properties?.["kind"] !== "place") return feature;
      const { name, name_en } = feature.properties as { name?: string; name_en?: string };
      const shown = (language === "en" ? name_en : name) || name || "";
      return { ...feature, properties: { ...feature.properties, image: placeImageName(shown) } };
    }),
  };
}
