// The map's style, made here: no glyphs, sprites or tiles from elsewhere unless the city names them.

import type { FilterSpecification, LayerSpecification, StyleSpecification } from "maplibre-gl";
import type { MapConfig } from "../api/types";
import { uiScale } from "./images";

export const STATIONS = "stations";
const CALM_LAYER = "calm-marks";
const MARK_LAYER = "station-marks";
/** Layers that answer to the pointer. */
export const TOUCHABLE = [CALM_LAYER, MARK_LAYER, "tags-far", "tags-near"];
const CALM = 1; // urgency of "normal"

const WATER = "#9cc3d5";
const WATER_EDGE = "#6fa3ba";

const BASE_LAYERS: LayerSpecification[] = [
  { id: "land", type: "fill", source: "basemap", filter: polygons("outline"), paint: { "fill-color": "#fbfcfb" } },
  {
    id: "land-edge", type: "line", source: "basemap", filter: ["==", ["get", "kind"], "outline"],
    paint: { "line-color": "#9fb0b3", "line-width": 1.2 },
  },
  { id: "water", type: "fill", source: "basemap", filter: polygons("river"), paint: { "fill-color": WATER, "fill-outline-color": WATER_EDGE } },
  {
    id: "road-edge", type: "line", source: "basemap", filter: ["==", ["get", "kind"], "road"],
    layout: { "line-cap": "round", "line-join": "round" },
    paint: { "line-color": "#c9d0cf", "line-width": widths(1.6, 6) },
  },
  {
    id: "road", type: "line", source: "basemap", filter: ["==", ["get", "kind"], "road"],
    layout: { "line-cap": "round", "line-join": "round" },
    paint: { "line-color": "#ffffff", "line-width": widths(0.8, 4) },
  },
  {
    id: "river", type: "line", source: "basemap",
    filter: ["all", ["==", ["get", "kind"], "river"], ["in", ["geometry-type"], ["literal", ["LineString", "MultiLineString"]]]],
    layout: { "line-cap": "round", "line-join": "round" },
    paint: { "line-color": WATER, "line-width": widths(2.2, 16) },
  },
];

function polygons(kind: string): ["all", ["==", ["get", string], string], ["in", ["geometry-type"], ["literal", string[]]]] {
  return ["all", ["==", ["get", "kind"], kind], ["in", ["geometry-type"], ["literal", ["Polygon", "MultiPolygon"]]]];
}

function widths(far: number, near: number): ["interpolate", ["exponential", number], ["zoom"], number, number, number, number] {
  return ["interpolate", ["exponential", 1.6], ["zoom"], 9, far, 15, near];
}

const stationLayers = (): LayerSpecification[] => [
  {
    id: "selected-ring", type: "circle", source: STATIONS, filter: ["==", ["get", "id"], -1],
    paint: {
      "circle-radius": 24 * uiScale(), "circle-color": "rgba(0, 111, 128, .14)",
      "circle-stroke-color": "#006f80", "circle-stroke-width": 3,
    },
  },
  markLayer(CALM_LAYER, ["<=", ["get", "urgency"], CALM]),
  {
    id: "place-names", type: "symbol", source: "basemap", filter: ["==", ["get", "kind"], "place"],
    layout: { "icon-image": ["get", "image"], "icon-padding": 4 },
  },
  markLayer(MARK_LAYER, [">", ["get", "urgency"], CALM]),
  {
    id: "tags-far", type: "symbol", source: STATIONS, maxzoom: 13.5,
    filter: [">=", ["get", "urgency"], 5], layout: tagLayout(),
  },
  { id: "tags-near", type: "symbol", source: STATIONS, minzoom: 13.5, layout: tagLayout() },
];

/** Calm marks lie beneath the names of places, all others above. */
function markLayer(id: string, filter: FilterSpecification): LayerSpecification {
  return {
    id, type: "symbol", source: STATIONS, filter,
    layout: {
      "icon-image": ["get", "mark"], "icon-allow-overlap": true, "icon-ignore-placement": true,
      "symbol-sort-key": ["get", "urgency"],
      "icon-size": ["interpolate", ["linear"], ["zoom"], 8, 0.62, 11, 0.85, 14, 1.1],
    },
  };
}

function tagLayout(): Extract<LayerSpecification, { type: "symbol" }>["layout"] & object {
  return {
    "icon-image": ["get", "tag"], "icon-anchor": ["get", "tag_anchor"], "icon-offset": ["get", "tag_offset"],
    "symbol-sort-key": ["-", 0, ["get", "urgency"]], "icon-padding": 2,
  };
}

const NOTHING: GeoJSON.FeatureCollection = { type: "FeatureCollection", features: [] };

export function mapStyle(config: MapConfig, basemap: GeoJSON.FeatureCollection): StyleSpecification {
  const has_tiles = config.tiles !== null;
  const has_outline = basemap.features.some((feature) => feature.properties?.["kind"] === "outline");
  return {
    version: 8,
    sources: {
      basemap: { type: "geojson", data: basemap },
      [STATIONS]: { type: "geojson", data: NOTHING },
      ...(config.tiles === null
        ? {}
        : { tiles: { type: "raster", tiles: [config.tiles], tileSize: 256, maxzoom: 18, attribution: config.attribution ?? "" } }),
    },
    layers: [
      { id: "paper", type: "background", paint: { "background-color": has_outline ? "#e2eaec" : "#f1f4f3" } },
      ...(has_tiles
        ? [{ id: "tiles", type: "raster", source: "tiles", paint: { "raster-saturation": -0.5, "raster-opacity": 0.8 } } as const]
        : BASE_LAYERS),
      ...stationLayers(),
    ],
  };
}
