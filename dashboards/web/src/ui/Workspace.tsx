// The page of somebody who is signed in: alarms and stations, map or table, one open station.

import { lazy, Suspense, useCallback, useEffect, useMemo, useRef, useState } from "react";
import type { Me, Role } from "../api/types";
import { isInstallation } from "../domain/installation";
import { isFieldRole, takesCharge } from "../domain/roles";
import { NO_FILTER, passes, sortStations, type Filter } from "../domain/order";
import { useSpeech } from "../i18n/language";
import { useFeed, useLive, useReadLive } from "../live/store";
import { AlarmList } from "./AlarmList";
import { Announcer } from "./Announcer";
import { DelayBar } from "./DelayBar";
import { FaultBar } from "./FaultBar";
import { Header } from "./Header";
import { FilterNote, KindFilter, StateFilter } from "./StateFilter";
import { StationList } from "./StationList";
import { StationPanel } from "./StationPanel";
import { StationTable } from "./StationTable";
import { WaitingPage } from "./WaitingPage";
import { cityName, useBasemap, useMapConfig } from "./useMapData";
import { HealthPage } from "./HealthPage";
import { usePage, type Page } from "./usePage";
import { useSelection } from "./useSelection";
import { WeatherBar } from "./WeatherBar";

const MapView = lazy(() => import("./MapView")); // the map library is most of the code

type Tab = "alarms" | "map" | "stations"; // on narrow screens, one at a time
type View = "map" | "table"; // of the middle on wide ones

interface WorkspaceProps {
  readonly me: Me;
  readonly onLeft: () => void;
}

export function Workspace({ me, onLeft }: WorkspaceProps) {
  const { t, language } = useSpeech();
  const live = useLive();
  const feed = useFeed();
  const config = useMapConfig();
  const basemap = useBasemap();
  const [filter, setFilter] = useState<Filter>(NO_FILTER);
  const [tab, setTab] = useState<Tab>("alarms");
  const [view, setView] = useState<View>("map");
  const [has_map, setHasMap] = useState(true);
  const [name, choose] = useSelection();
  const [asked_page, leavePage] = usePage();
  const has_health = me.role !== "public";
  const may_see = asked_page === "waiting" ? me.role === "admin" : has_health;
  const page: Page = may_see ? asked_page : "map";

  const sorted = useMemo(() => sortStations(live.stations.values()), [live.stations]);
  const listed = useMemo(() => sorted.filter((s) => me.role === "admin" || !isInstallation(s)), [sorted, me.role]);
  const shown = useMemo(() => listed.filter((station) => passes(station, filter)), [listed, filter]);
  const in_field = useMemo(() => shown.filter((station) => !isInstallation(station)), [shown]);
  const selected = useMemo(() => sorted.find((station) => station.name === name) ?? null, [sorted, name]);
  const opener = useRef<HTMLElement | null>(null);
  const open_alarms = useMemo(
    () => [...live.alarms.values()].filter((a) => a.state === "active" && (a.acknowledged_at === null || !takesCharge(me.role))).length,
    [live.alarms, me.role],
  );

  // Somebody with fields and no alarm has come for the numbers. Asked once: no page turns by itself.
  const has_begun = useRef(false);
  useEffect(() => {
    if (has_begun.current || !live.has_snapshot) return;
    has_begun.current = true;
    if (isFieldRole(me.role) && open_alarms === 0) setTab("stations");
  }, [live.has_snapshot, me.role, open_alarms]);

  // The store is asked at the time of the click, so that the callback never changes and a new
  // value redraws one row, not two thousand.
  const read = useReadLive();
  const open = useCallback(
    (id: number) => {
      const station = read().stations.get(id);
      if (station === undefined) return;
      opener.current = document.activeElement instanceof HTMLElement ? document.activeElement : null;
      choose(station.name);
    },
    [choose, read],
  );
  const close = useCallback(() => {
    choose(null);
    opener.current?.focus();
  }, [choose]);
  const changeTab = useCallback(
    (chosen: Tab) => {
      setTab(chosen);
      choose(null); // on a narrow screen the open station covers the tabs' views
      leavePage();
    },
    [choose, leavePage],
  );
  const mapFailed = useCallback(() => setHasMap(false), []);
  const note = <FilterNote shown={shown.length} all={listed.length} filter={filter} onFilter={setFilter} />;
  const is_table = view === "table" || !has_map;

  return (
    <div className="workspace" data-tab={tab} data-page={page} data-feed={feed.kind} data-panel={selected !== null}>
      <nav className="skip">
        <a href="#alarms" onClick={() => setTab("alarms")}>{t.skip_to_alarms}</a>
        <a href="#stations" onClick={() => setTab("stations")}>{t.skip_to_stations}</a>
      </nav>
      <Announcer />
      <Header
        me={me} feed={feed} open_alarms={open_alarms} onLeft={onLeft} page={has_health ? page : null} onMap={leavePage}
        city={basemap === null ? undefined : cityName(basemap, language)}
      />
      <div>
        <FaultBar feed={feed} />
        <DelayBar feed={feed} />
        <WeatherBar />
      </div>
      {page === "health" && <main className="page"><HealthPage /></main>}
      {page === "waiting" && <main className="page"><WaitingPage /></main>}
      {page === "map" && <main className="body">
        <div className="side">
          <AlarmList selected={selected?.id ?? null} is_stale={feed.kind !== "ok"} role={me.role} onChoose={open} />
          <StationList
            stations={shown} all={listed.length} selected={selected?.id ?? null}
            text={filter.text} onText={(text) => setFilter({ ...filter, text })}
            note={note} role={me.role} onChoose={open}
          />
        </div>
        <div className="middle">
          <div className="toolbar">
            <StateFilter stations={listed} filter={filter} onFilter={setFilter} />
            <div className="toolbar-right">
              <ViewSwitch view={is_table ? "table" : "map"} has_map={has_map} onView={setView} />
              <KindFilter stations={listed} filter={filter} onFilter={setFilter} />
            </div>
          </div>
          {note}
          {!has_map && <p className="map-failed" role="status">{t.map_failed}</p>}
          {is_table && <StationTable stations={shown} selected={selected?.id ?? null} onChoose={open} />}
          {has_map && config !== null && basemap !== null && (
            <Suspense fallback={<p className="map-loading" role="status" hidden={is_table}>{t.loading}</p>}>
              <MapView
                config={config} basemap={basemap} stations={in_field} selected={selected}
                is_hidden={is_table} is_stale={feed.kind === "fault"} onChoose={open} onFailed={mapFailed}
              />
            </Suspense>
          )}
        </div>
        {selected !== null && <StationPanel key={selected.id} station={selected} me={me} onClose={close} />}
      </main>}
      <Tabs page={page} tab={tab} role={me.role} open_alarms={open_alarms} onTab={changeTab} />
    </div>
  );
}

interface ViewSwitchProps {
  readonly view: View;
  readonly has_map: boolean;
  readonly onView: (view: View) => void;
}

function ViewSwitch({ view, has_map, onView }: ViewSwitchProps) {
  const { t } = useSpeech();
  return (
    <div className="switch view-switch" role="group" aria-label={t.view_switch}>
      <button type="button" aria-pressed={view === "map"} disabled={!has_map} data-testid="view-map" onClick={() => onView("map")}>
        {t.view_map}
      </button>
      <button type="button" aria-pressed={view === "table"} data-testid="view-table" onClick={() => onView("table")}>
        {t.view_table}
      </button>
    </div>
  );
}

interface TabsProps {
  readonly page: Page;
  readonly tab: Tab;
  readonly role: Role;
  readonly open_alarms: number;
  readonly onTab: (tab: Tab) => void;
}

function Tabs({ page, tab, role, open_alarms, onTab }: TabsProps) {
  const { t } = useSpeech();
  const words: Record<Tab, string> = { alarms: t.alarms, map: t.view_map, stations: t.view_stations };
  return (
    <nav className="tabs" aria-label={t.view_switch}>
      {(["alarms", "map", "stations"] as const).map((one) => (
        <button key={one} type="button" aria-current={page === "map" && tab === one} data-testid={`tab-${one}`} onClick={() => onTab(one)}>
          {words[one]}
          {one === "alarms" && open_alarms > 0 && <span className="badge-count">{open_alarms}</span>}
        </button>
      ))}
      {role !== "public" && <a href="#health" aria-current={page === "health"} data-testid="tab-health">{t.health_tab}</a>}
      {role === "admin" && <a href="#waiting" aria-current={page === "waiting"} data-testid="tab-waiting">{t.waiting_tab}</a>}
    </nav>
  );
}
