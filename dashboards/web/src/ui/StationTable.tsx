import { memo } from "react";
import type { Station } from "../api/types";
import { figure, unitOf } from "../domain/quantities";
import { MINUTE, timeOrDate } from "../domain/time";
import { useSpeech } from "../i18n/language";
import { kindWord, placeName, stageWord } from "../i18n/words";
import { useDelayedLanes, useNow } from "../live/store";
import { mainFigure } from "./StationList";
import { StateMark } from "./StateMark";

interface StationTableProps {
  readonly stations: readonly Station[];
  readonly selected: number | null;
  readonly onChoose: (id: number) => void;
}

/** The map's stations as a table: the way without WebGL, and the faster one for reading numbers. */
export function StationTable({ stations, selected, onChoose }: StationTableProps) {
  const { t } = useSpeech();
  const now = useNow(MINUTE);
  const delayed = useDelayedLanes();
  return (
    <div className="table-scroll" tabIndex={0} role="region" aria-label={t.view_table}>
      <table className="station-table">
        <thead>
          <tr>
            <th scope="col">{t.column_state}</th>
            <th scope="col">{t.column_place}</th>
            <th scope="col">{t.column_area}</th>
            <th scope="col">{t.column_kind}</th>
            <th scope="col" className="number">{t.column_value}</th>
            <th scope="col" className="number">{t.column_rise}</th>
            <th scope="col" className="number">{t.column_received}</th>
          </tr>
        </thead>
        <tbody>
          {stations.map((station) => (
            <TableRow
              key={station.id} station={station} now={now} is_selected={station.id === selected}
              is_delayed={delayed.has(station.lane)} onChoose={onChoose}
            />
          ))}
        </tbody>
      </table>
      {stations.length === 0 && <p className="stations-none">{t.no_match}</p>}
    </div>
  );
}

interface TableRowProps {
  readonly station: Station;
  readonly now: number;
  readonly is_selected: boolean;
  readonly is_delayed: boolean;
  readonly onChoose: (id: number) => void;
}

const TableRow = memo(function TableRow({ station, now, is_selected, is_delayed, onChoose }: TableRowProps) {
  const { t, language } = useSpeech();
  return (
    <tr data-state={station.state} data-delayed={is_delayed} aria-current={is_selected} onClick={() => onChoose(station.id)}>
      <td><span className="cell-state"><StateMark state={station.state} level={station.level} size={20} />{stageWord(t, station.state, station.kind)}</span></td>
      <th scope="row">
        <button type="button" className="button-link" data-testid={`row-${station.name}`}>{placeName(station, language)}</button>
      </th>
      <td>{station.area}</td>
      <td>{kindWord(t, station.kind)}</td>
      <td className="number">{mainFigure(station, is_delayed)}</td>
      <td className="number">{station.rise_per_h === null ? "" : `${figure(station.main, station.rise_per_h, true)} ${t.per_hour(unitOf(station.main))}`}</td>
      <td className="number">{station.last_received_at === null ? "—" : timeOrDate(station.last_received_at, now)}</td>
    </tr>
  );
});
