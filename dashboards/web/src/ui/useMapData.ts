// What lies beneath the stations: where the map opens, and the base map.

import { useEffect, useState } from "react";
import { api } from "../api/client";
import type { MapConfig } from "../api/types";
import type { Language } from "../i18n/dictionaries";

const EMPTY: GeoJSON.FeatureCollection = { type: "FeatureCollection", features: [] };
const NO_MAP: MapConfig = { center: [130.3, 31.81], zoom: 10.5, tiles: null, attribution: null };

export function useMapConfig(): MapConfig | null {
  const [config, setConfig] = useState<MapConfig | null>(null);
  useEffect(() => {
    let is_over = false;
    api.map().then(
      (found) => is_over || setConfig(found),
      () => is_over || setConfig(NO_MAP),
    );
    return () => {
      is_over = true;
    };
  }, []);
  return config;
}

/** The base map once it has come; an empty one where it cannot be had: stations matter more. */
export function useBasemap(): GeoJSON.FeatureCollection | null {
  const [basemap, setBasemap] = useState<GeoJSON.FeatureCollection | null>(null);
  useEffect(() => {
    let is_over = false;
    api.basemap().then(
      (found) => is_over || setBasemap(found),
      () => is_over || setBasemap(EMPTY),
    );
    return () => {
      is_over = true;
    };
  }, []);
  return basemap;
}

/** The city's name: that of the outline on its base map. */
export function cityName(basemap: GeoJSON.FeatureCollection, language: Language): string | undefined {
  const outline = basemap.features.find(({ properties }) => properties?.["kind"] === "outline");
  const { name, name_en } = (outline?.properties ?? {}) as { name?: string; name_en?: string };
  return (language === "en" ? name_en : name) || undefined;
}
