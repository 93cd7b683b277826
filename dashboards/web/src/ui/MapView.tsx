import { useEffect, useMemo, useRef, useState } from "react";
import type { MapConfig, Station } from "../api/types";
import { useSpeech } from "../i18n/language";
import { placeName, stageWord } from "../i18n/words";
import { useDelayedLanes } from "../live/store";
import { isPlaced, stationPoints, withPlaceImages } from "../map/features";
import { createMap, type StationMap } from "../map/map";
import { mainFigure } from "./StationList";
import "maplibre-gl/dist/maplibre-gl.css";

interface MapViewProps {
  readonly config: MapConfig;
  readonly basemap: GeoJSON.FeatureCollection;
  readonly stations: readonly Station[];
  readonly selected: Station | null;
  readonly is_hidden: boolean;
  readonly is_stale: boolean;
  readonly onChoose: (id: number) => void;
  readonly onFailed: () => void;
}

interface Hover {
  readonly id: number;
  readonly x: number;
  readonly y: number;
}

export default function MapView({ config, basemap, stations, selected, is_hidden, is_stale, onChoose, onFailed }: MapViewProps) {
  const { t, language } = useSpeech();
  const container = useRef<HTMLDivElement>(null);
  const [map, setMap] = useState<StationMap | null>(null);
  const [hover, setHover] = useState<Hover | null>(null);

  useEffect(() => {
    if (container.current === null) return;
    let created: StationMap;
    try {
      created = createMap(container.current, config, basemap, { onChoose, onHover: setHover, onFailed });
    } catch {
      onFailed();
      return;
    }
    setMap(created);
    return () => {
      setMap(null);
      created.remove();
    };
  }, [config, basemap, onChoose, onFailed]);

  const delayed = useDelayedLanes();
  const points = useMemo(
    () => stationPoints(stations, t, language, (station) => is_stale || delayed.has(station.lane)),
    [stations, t, language, is_stale, delayed],
  );
  useEffect(() => map?.show(points), [map, points]);
  useEffect(() => {
    map?.showBasemap(withPlaceImages(basemap, language));
  }, [map, basemap, language]);

  const at = selected?.longitude != null && selected.latitude != null ? `${selected.longitude},${selected.latitude}` : null;
  useEffect(() => {
    const [longitude, latitude] = (at ?? "").split(",").map(Number);
    const where = longitude !== undefined && latitude !== undefined ? ([longitude, latitude] as const) : null;
    map?.select(selected?.id ?? null, where);
  }, [map, selected?.id, at]);

  const unplaced = stations.length - stations.filter(isPlaced).length;
  const hovered = hover === null ? undefined : stations.find(({ id }) => id === hover.id);
  return (
    <div className="map" hidden={is_hidden} data-testid="map">
      <div ref={container} className="map-canvas" role="region" aria-label={t.map} />
      <div className="map-controls">
        <button type="button" title={t.map_zoom_in} aria-label={t.map_zoom_in} onClick={() => map?.zoomBy(1)}>＋</button>
        <button type="button" title={t.map_zoom_out} aria-label={t.map_zoom_out} onClick={() => map?.zoomBy(-1)}>−</button>
        <button type="button" title={t.map_home} aria-label={t.map_home} onClick={() => map?.home()}>
          <svg viewBox="0 0 20 20" width="18" height="18" aria-hidden="true">
            <path d="M3 7V3h4M13 3h4v4M17 13v4h-4M7 17H3v-4" fill="none" stroke="currentColor" strokeWidth="2" />
          </svg>
        </button>
      </div>
      {unplaced > 0 && <p className="map-unplaced">{t.map_unplaced(unplaced)}</p>}
      {hover !== null && hovered !== undefined && (
        <div className="map-hover" style={{ left: hover.x, top: hover.y }}>
          <strong>{placeName(hovered, language)}</strong>
          <span>{stageWord(t, hovered.state, hovered.kind)}</span>
          <span className="figure">{mainFigure(hovered, delayed.has(hovered.lane))}</span>
        </div>
      )}
    </div>
  );
}
