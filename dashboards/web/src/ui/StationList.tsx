// Every station as a real list. One tab stop for all of it: arrow keys, Home and End move inside.

import { memo, useRef, useState, type KeyboardEvent, type ReactNode } from "react";
import type { Station } from "../api/types";
import { figureWithUnit, isFlag } from "../domain/quantities";
import { isSilentInDanger, levelState } from "../domain/states";
import { useSpeech } from "../i18n/language";
import { placeName, stateWord } from "../i18n/words";
import { arrow } from "../map/features";
import { StateMark } from "./StateMark";

interface StationListProps {
  readonly stations: readonly Station[];
  readonly all: number;
  readonly selected: number | null;
  readonly text: string;
  readonly onText: (text: string) => void;
  readonly note: ReactNode;
  readonly onChoose: (id: number) => void;
}

export function StationList({ stations, all, selected, text, onText, note, onChoose }: StationListProps) {
  const { t } = useSpeech();
  const list = useRef<HTMLUListElement>(null);
  const [focused, setFocused] = useState<number | null>(null);
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
      {stations.length === 0 && <p className="stations-none">{t.no_match}</p>}
      <ul ref={list} className="station-rows" onKeyDown={move}>
        {stations.map((station) => (
          <StationRow
            key={station.id} station={station} is_selected={station.id === selected}
            is_stop={station.id === stop} onChoose={onChoose} onFocused={setFocused}
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
  readonly onChoose: (id: number) => void;
  readonly onFocused: (id: number) => void;
}

const StationRow = memo(function StationRow(props: StationRowProps) {
  const { station, is_selected, is_stop, onChoose, onFocused } = props;
  const { t, language } = useSpeech();
  return (
    <li>
      <button
        type="button"
        className="station"
        data-testid={`station-${station.name}`}
        data-state={station.state}
        data-level={station.level}
        tabIndex={is_stop ? 0 : -1}
        aria-current={is_selected}
        onFocus={() => onFocused(station.id)}
        onClick={() => onChoose(station.id)}
      >
        <StateMark state={station.state} level={station.level} size={20} />
        <span className="station-name">{placeName(station, language)}</span>
        <span className="station-state">{isSilentInDanger(station) ? t.unknown_short(stateWord(t, levelState(station.level))) : stateWord(t, station.state)}</span>
        <span className="figure station-value">{mainFigure(station)}</span>
      </button>
    </li>
  );
});

export function mainFigure(station: Station): string {
  const latest = station.main === null ? undefined : station.latest[station.main];
  if (latest === undefined || isFlag(station.main)) return "";
  return figureWithUnit(station.main, latest.value) + arrow(station.rise_per_h);
}
