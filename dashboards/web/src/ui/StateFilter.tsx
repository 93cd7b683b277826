// The legend with counts; each entry is also a switch that shows only its state.

import { STATION_STATES, type Station, type StationState } from "../api/types";
import { countStates, isFiltering, NO_FILTER, type Filter } from "../domain/order";
import { useSpeech } from "../i18n/language";
import { kindWord, stateWord } from "../i18n/words";
import { StateMark } from "./StateMark";

interface StateFilterProps {
  readonly stations: readonly Station[]; // all of them
  readonly filter: Filter;
  readonly onFilter: (filter: Filter) => void;
}

const ALWAYS_SHOWN: ReadonlySet<StationState> = new Set(["normal", "unknown"]);
/** Shown with their zeros wherever water is watched: "nothing flooded" is news as well. */
const FLOOD_STATES: ReadonlySet<StationState> = new Set(["caution", "evacuation", "danger", "flooding"]);
const FLOOD_KINDS: ReadonlySet<string> = new Set(["river-gauge", "flood-sensor"]);

export function StateFilter({ stations, filter, onFilter }: StateFilterProps) {
  const { t } = useSpeech();
  const of_kind = stations.filter(({ kind }) => filter.kind === null || kind === filter.kind);
  const counts = countStates(of_kind);
  const has_floods = of_kind.some(({ kind }) => FLOOD_KINDS.has(kind));
  const states = STATION_STATES.filter(
    (state) => ALWAYS_SHOWN.has(state) || (has_floods && FLOOD_STATES.has(state)) || counts.has(state) || filter.states.has(state),
  );

  function toggle(state: StationState) {
    const chosen = new Set(filter.states);
    if (!chosen.delete(state)) chosen.add(state);
    onFilter({ ...filter, states: chosen });
  }

  return (
    <div className="filter">
      <div className="filter-states" role="group" aria-label={t.filter_states}>
        {states.map((state) => (
          <button
            key={state} type="button" className="chip" aria-pressed={filter.states.has(state)}
            data-testid={`filter-${state}`} data-count={counts.get(state) ?? 0}
            onClick={() => toggle(state)}
          >
            <StateMark state={state} size={20} />
            <span>{stateWord(t, state)}</span>
            <span className="figure">{counts.get(state) ?? 0}</span>
          </button>
        ))}
      </div>
    </div>
  );
}

interface KindFilterProps {
  readonly stations: readonly Station[];
  readonly filter: Filter;
  readonly onFilter: (filter: Filter) => void;
}

export function KindFilter({ stations, filter, onFilter }: KindFilterProps) {
  const { t } = useSpeech();
  const kinds = [...new Set(stations.map(({ kind }) => kind))].sort();
  return (
    <label className="filter-kind">
      <span className="only-spoken">{t.filter_kinds}</span>
      <select
        value={filter.kind ?? ""}
        onChange={(event) => onFilter({ ...filter, kind: event.target.value || null })}
      >
        <option value="">{t.all_kinds}</option>
        {kinds.map((kind) => <option key={kind} value={kind}>{kindWord(t, kind)}</option>)}
      </select>
    </label>
  );
}

interface FilterNoteProps {
  readonly shown: number;
  readonly all: number;
  readonly filter: Filter;
  readonly onFilter: (filter: Filter) => void;
}

/** Says that not everything is shown: a filter forgotten must not look like calm. */
export function FilterNote({ shown, all, filter, onFilter }: FilterNoteProps) {
  const { t } = useSpeech();
  if (!isFiltering(filter)) return null;
  return (
    <p className="filter-note" role="status">
      {t.filtered(shown, all)}
      <button type="button" className="button" onClick={() => onFilter(NO_FILTER)}>{t.clear_filter}</button>
    </p>
  );
}
