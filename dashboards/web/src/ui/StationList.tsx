// Every station as a real list. One tab stop for all of it: arrow keys, Home and End move inside.

import { memo, useRef, useState, type KeyboardEvent, type ReactNode } from "react";
import type { Role, Station } from "../api/types";
import { noStations } from "../i18n/words";
import { isFieldRole } from "../domain/roles";
import { figureWithUnit, isFlag, quantityName } from "../domain/quantities";
import { isSilentInDanger, levelState } from "../domain/states";
import { hourMinute } from "../domain/time";
import { useSpeech } from "../i18n/language";
import type { Dictionary } from "../i18n/dictionaries";
import { placeName, stageWord, stateWord } from "../i18n/words";
import { arrow } from "../map/features";
import { useDelayedLanes } from "../live/store";
import { StateMark } from "./StateMark";

interface StationListProps {
  readonly stations: readonly Station[];
  readonly all: number;
  readonly selected: number | null;
  readonly text: string;
  readonly onText: (text: string) => void;
  readonly note: ReactNode;
  readonly role: Role;
  readonly onChoose: (id: number) => void;
}

export function StationList({ stations, all, selected, text, onText, note, role, onChoose }: StationListProps) {
  const { t } = useSpeech();
  const list = useRef<HTMLUListElement>(null);
  const [focused, setFocused] = useState<number | null>(null);
  const delayed = useDelayedLanes();
  const stop = stations.some(({ id }) => id === focused) ? focused : (stations[0]?.id ?? null);

  function move(event: KeyboardEvent<HTMLUListElement>) {
    const at = stations.findIndex(({ id }) => id === stop);
    const to = destination(event.key, at, stations.length);
    if (to === null) return;
    event.preventDefault();
    list.current?.querySelectorAll<HTMLButtonElement>("button")[to]?.focus();
  }

  return (
    <section className="stations" id="stations" tabIndex={-1} aria-labelledby="stations-title">
      <div className="stations-top">
        <h2 id="stations-title">{t.stations}<span className="count">{t.stations_shown(stations.length, all)}</span></h2>
        <input
          type="search" className="search" value={text} placeholder={t.search} aria-label={t.search}
          onChange={(event) => onText(event.target.value)}
        />
      </div>
      {note}
      {stations.length === 0 && <p className="stations-none">{all > 0 ? t.no_match : noStations(t, role)}</p>}
      <ul ref={list} className="station-rows" data-look={isFieldRole(role) ? "field" : "watch"} onKeyDown={move}>
        {stations.map((station) => (
          <StationRow
            key={station.id} station={station} is_selected={station.id === selected}
            is_stop={station.id === stop} is_delayed={delayed.has(station.lane)} onChoose={onChoose} onFocused={setFocused}
          />
        ))}
      </ul>
    </section>
  );
}

function destination(key: string, at: number, length: number): number | null {
  switch (key) {
    case "ArrowDown": return Math.min(at + 1, length - 1);
    case "ArrowUp": return Math.max(at - 1, 0);
    case "Home": return 0;
    case "End": return length - 1;
    default: return null;
  }
}

interface StationRowProps {
  readonly station: Station;
  readonly is_selected: boolean;
  readonly is_stop: boolean;
  readonly is_delayed: boolean;
  readonly onChoose: (id: number) => void;
  readonly onFocused: (id: number) => void;
}

const StationRow = memo(function StationRow(props: StationRowProps) {
  const { station, is_selected, is_stop, is_delayed, onChoose, onFocused } = props;
  const { t, language } = useSpeech();
  return (
    <li>
      <button
        type="button"
        className="station"
        data-testid={`station-${station.name}`}
        data-state={station.state}
        data-level={station.level}
        data-delayed={is_delayed}
        tabIndex={is_stop ? 0 : -1}
        aria-current={is_selected}
        onFocus={() => onFocused(station.id)}
        onClick={() => onChoose(station.id)}
      >
        <StateMark state={station.state} level={station.level} size={20} />
        <span className="station-name">{placeName(station, language)}</span>
        <span className="station-state">{rowWord(t, station, is_delayed)}</span>
        <span className="station-quantity">{station.main !== null && !isFlag(station.main) && quantityName(station.main, language)}</span>
        <span className="figure station-value">{mainFigure(station, is_delayed)}</span>
      </button>
    </li>
  );
});

/** The state in a word or two; a trap is not "normal", it is not sprung. Where values are late, nobody calls it calm. */
function rowWord(t: Dictionary, station: Station, is_delayed: boolean): string {
  if (is_delayed && station.state === "normal" && station.last_received_at !== null) return t.as_of(hourMinute(measuredAt(station)));
  if (isSilentInDanger(station)) return t.unknown_short(stateWord(t, levelState(station.level)));
  return station.kind === "trap" ? stageWord(t, station.state, station.kind) : stateWord(t, station.state);
}

function measuredAt({ main, latest, last_received_at }: Station): number {
  return (main === null ? undefined : latest[main]?.measured_at) ?? last_received_at ?? 0;
}

/** The main value with its direction; in brackets where it is the last before silence, or late. */
export function mainFigure(station: Station, is_delayed = false): string {
  const latest = station.main === null ? undefined : station.latest[station.main];
  if (latest === undefined || isFlag(station.main)) return "";
  const value = figureWithUnit(station.main, latest.value);
  return station.state === "unknown" || is_delayed ? `(${value})` : value + arrow(station.rise_per_h);
}
