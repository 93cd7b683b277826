// The MapLibre map as four verbs: create, show stations, select, look at everything.

import {
  LngLatBounds, Map as LibreMap, setWorkerUrl, type GeoJSONSource, type MapMouseEvent,
} from "maplibre-gl";
import worker_url from "maplibre-gl/dist/maplibre-gl-worker.mjs?url";
import type { MapConfig } from "../api/types";
import { allMarks, isTextImage, PIXEL_RATIO, tagWidthPx, textImage, uiScale } from "./images";
import { mapStyle, STATIONS, TOUCHABLE } from "./style";
import { placeTag, type Room } from "./tags";

setWorkerUrl(worker_url);

const REDRAW_EVERY_MS = 300;
const REACH_PX = 12; // a finger is not a needle
const TEXT_IMAGES_KEPT = 600;

export interface StationMap {
  readonly show: (points: GeoJSON.FeatureCollection<GeoJSON.Point>) => void;
  readonly showBasemap: (basemap: GeoJSON.FeatureCollection) => void;
  readonly select: (id: number | null, at: readonly [number, number] | null) => void;
  readonly zoomBy: (steps: number) => void;
  readonly home: () => void;
  readonly remove: () => void;
}

interface MapEvents {
  readonly onChoose: (id: number) => void;
  readonly onHover: (hover: { readonly id: number; readonly x: number; readonly y: number } | null) => void;
  readonly onFailed: () => void;
}

/** Throws where WebGL cannot be had. */
export function createMap(
  container: HTMLElement,
  config: MapConfig,
  basemap: GeoJSON.FeatureCollection,
  events: MapEvents,
): StationMap {
  const map = new LibreMap({
    container,
    style: mapStyle(config, basemap),
    center: [config.center[0], config.center[1]],
    zoom: config.zoom + widening(container),
    minZoom: 6,
    maxZoom: 18,
    attributionControl: config.tiles === null ? false : { compact: false },
    dragRotate: false,
    pitchWithRotate: false,
    touchPitch: false,
    fadeDuration: 0,
  });
  map.touchZoomRotate.disableRotation();
  map.keyboard.disableRotation();
  for (const [name, image] of allMarks()) map.addImage(name, image, { pixelRatio: PIXEL_RATIO });
  map.setMissingStyleImageResolver((name) => {
    const image = textImage(name);
    if (image !== null && !map.hasImage(name)) map.addImage(name, image, { pixelRatio: PIXEL_RATIO });
  });
  map.on("webglcontextlost", events.onFailed);
  followPointer(map, events);

  const stations = throttled(map, (points) => {
    forgetText(map);
    map.getSource<GeoJSONSource>(STATIONS)?.setData(withPlacedTags(map, points));
  });
  let newest: Points | null = null;
  const placeAnew = () => newest !== null && stations(newest);
  map.on("moveend", placeAnew);
  map.on("resize", placeAnew);
  let everywhere: LngLatBounds | null = null;
  let selected_at: readonly [number, number] | null = null;
  // A panel that opens makes the map narrower: what was chosen must not end up beneath it.
  map.on("resize", () => selected_at !== null && bringIntoView(map, selected_at));
  widenOnceSeen(map, container, config.zoom);
  return {
    show: (points) => {
      everywhere = boundsOf(points);
      newest = points;
      stations(points);
    },
    showBasemap: (data) => whenReady(map, () => map.getSource<GeoJSONSource>("basemap")?.setData(data)),
    select: (id, at) => {
      whenReady(map, () => map.setFilter("selected-ring", ["==", ["get", "id"], id ?? -1]));
      selected_at = at;
      if (at !== null) bringIntoView(map, at);
    },
    zoomBy: (steps) => void map.zoomTo(map.getZoom() + steps),
    home: () => {
      if (everywhere !== null && !everywhere.isEmpty()) map.fitBounds(everywhere, { padding: 56, maxZoom: 14 });
    },
    remove: () => map.remove(),
  };
}

const CONFIGURED_FOR_PX = 950;

/** The configured zoom is for a usual screen; a wall shows the same land larger, a phone smaller. */
function widening({ clientWidth, clientHeight }: HTMLElement): number {
  const room = Math.min(clientWidth, clientHeight * 1.35);
  return room === 0 ? 0 : Math.log2(Math.max(room, 200) / CONFIGURED_FOR_PX);
}

/** On a narrow screen the map begins hidden, without a size: its zoom is set when it is first seen. */
function widenOnceSeen(map: LibreMap, container: HTMLElement, zoom: number): void {
  if (container.clientWidth > 0) return;
  const widen = () => {
    if (container.clientWidth === 0) return;
    map.off("resize", widen);
    map.setZoom(zoom + widening(container));
  };
  map.on("resize", widen);
}

function boundsOf(points: GeoJSON.FeatureCollection<GeoJSON.Point>): LngLatBounds {
  const bounds = new LngLatBounds();
  for (const { geometry } of points.features) {
    const [longitude = 0, latitude = 0] = geometry.coordinates;
    bounds.extend([longitude, latitude]);
  }
  return bounds;
}

function whenReady(map: LibreMap, act: () => void): void {
  if (map.isStyleLoaded() || map.getSource(STATIONS) !== undefined) act();
  else map.once("load", act);
}

type Points = GeoJSON.FeatureCollection<GeoJSON.Point>;

const TAG_APART_PX = 20;
const UNTAGGED = { tag: "", tag_anchor: "left", tag_offset: [0, 0] };

/** The points with the place of each tag, by where its mark is on the screen now. */
function withPlacedTags(map: LibreMap, points: Points): Points {
  const { clientWidth: width, clientHeight: height } = map.getContainer();
  const scale = uiScale();
  const room: Room = { width, height, buttons: { width: 62, height: 150 } };
  const features = points.features.map((feature) => {
    const [longitude = 0, latitude = 0] = feature.geometry.coordinates;
    const spot = map.project([longitude, latitude]);
    const is_seen = spot.x >= 0 && spot.y >= 0 && spot.x <= width && spot.y <= height;
    if (!is_seen) return { ...feature, properties: { ...feature.properties, ...UNTAGGED } }; // no tag without its mark
    const tag_width = tagWidthPx(String(feature.properties?.["tag"]));
    const { anchor, offset } = placeTag(spot, tag_width, TAG_APART_PX * scale, room);
    return { ...feature, properties: { ...feature.properties, tag_anchor: anchor, tag_offset: offset } };
  });
  return { ...points, features };
}

/** Draw the newest points at once, then at most every REDRAW_EVERY_MS. */
function throttled(map: LibreMap, draw: (points: Points) => void): (points: Points) => void {
  let waiting: Points | null = null;
  let timer: number | null = null;
  const step = () => {
    timer = null;
    if (waiting === null) return;
    const points = waiting;
    waiting = null;
    whenReady(map, () => draw(points));
    timer = window.setTimeout(step, REDRAW_EVERY_MS);
  };
  map.on("remove", () => timer !== null && clearTimeout(timer));
  return (points) => {
    waiting = points;
    if (timer === null) step();
  };
}

/** Tags carry values, so old ones pile up; those still needed are simply drawn again. */
function forgetText(map: LibreMap): void {
  const text = map.listImages().filter(isTextImage);
  if (text.length > TEXT_IMAGES_KEPT) for (const name of text) map.removeImage(name);
}

function bringIntoView(map: LibreMap, [longitude, latitude]: readonly [number, number]): void {
  const { x, y } = map.project([longitude, latitude]);
  const { clientWidth, clientHeight } = map.getContainer();
  if (clientWidth === 0) return; // hidden; a resize follows when it is shown
  const edge = Math.min(60, clientWidth / 4, clientHeight / 4);
  if (x > edge && y > edge && x < clientWidth - edge && y < clientHeight - edge) return;
  map.easeTo({ center: [longitude, latitude] });
}

function followPointer(map: LibreMap, events: MapEvents): void {
  const stationAt = ({ point }: MapMouseEvent, reach: number): number | null => {
    if (TOUCHABLE.some((layer) => map.getLayer(layer) === undefined)) return null;
    const found = map.queryRenderedFeatures(
      [[point.x - reach, point.y - reach], [point.x + reach, point.y + reach]],
      { layers: TOUCHABLE },
    );
    const best = found.sort((a, b) => Number(b.properties["urgency"]) - Number(a.properties["urgency"]))[0];
    return best === undefined ? null : Number(best.properties["id"]);
  };
  map.on("click", (event) => {
    const id = stationAt(event, 2) ?? stationAt(event, REACH_PX);
    if (id !== null) events.onChoose(id);
  });
  map.on("mousemove", (event) => {
    const id = stationAt(event, 2);
    map.getCanvas().style.cursor = id === null ? "" : "pointer";
    events.onHover(id === null ? null : { id, x: event.point.x, y: event.point.y });
  });
  map.on("mouseout", () => events.onHover(null));
}
