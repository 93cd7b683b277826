// Devices that need a hand, worst first, with what to do. Findings are no alarms.

import { useState } from "react";
import { api } from "../api/client";
import { NO_HEALTH_FILTER, type HealthFilter, type HealthList, type HealthRow } from "../api/health";
import { MINUTE, ago } from "../domain/time";
import { useSpeech } from "../i18n/language";
import { kindWord, placeName } from "../i18n/words";
import { useNow } from "../live/store";
import { BatterySpark } from "./BatterySpark";
import { SeverityMark } from "./SeverityMark";
import { useAskedAgain } from "./useAskedAgain";

const ASK_AGAIN_MS = MINUTE;
const SHOWN = 100;

export function HealthPage() {
  const { t } = useSpeech();
  const [filter, setFilter] = useState<HealthFilter>(NO_HEALTH_FILTER);
  const [shown, setShown] = useState(SHOWN);
  const { found: list, has_failed } = useHealth(filter, shown);
  const now = useNow(MINUTE);
  return (
    <section className="health" aria-labelledby="health-title" data-testid="health">
      <header className="health-top">
        <h2 id="health-title">{t.health_title}</h2>
        {list !== null && (
          <p className="count" data-testid="health-as-of">
            {list.oldest_at === null ? t.health_not_yet : t.health_as_of(list.assessed, ago(list.oldest_at, now, t))}
            {list.waiting > 0 && list.oldest_at !== null && `${t.comma}${t.health_waiting(list.waiting)}`}
          </p>
        )}
        {list !== null && <HealthFilters list={list} filter={filter} onFilter={(next) => { setFilter(next); setShown(SHOWN); }} />}
      </header>
      <div className="health-body" tabIndex={0} role="region" aria-label={t.health_title}>
        {has_failed && <p className="health-note" role="alert">{t.health_failed}</p>}
        {list === null && !has_failed && <p className="health-note" role="status">{t.loading}</p>}
        {list?.devices.length === 0 && <NothingToDo list={list} filter={filter} />}
        <ol className="health-rows">
          {list?.devices.map((row) => <Row key={row.device} row={row} />)}
        </ol>
        {list !== null && list.total > list.devices.length && (
          <p className="health-note">
            <button type="button" className="button" onClick={() => setShown((n) => Math.min(n + SHOWN, 500))}>
              {t.health_more(list.total - list.devices.length)}
            </button>
          </p>
        )}
      </div>
    </section>
  );
}

function NothingToDo({ list, filter }: { readonly list: HealthList; readonly filter: HealthFilter }) {
  const { t } = useSpeech();
  const is_filtered = filter.severity !== null || filter.area !== null || filter.kind !== null;
  if (is_filtered) return <p className="health-note">{t.health_no_match}</p>;
  return <p className="health-note">{list.assessed === 0 ? t.health_not_yet_long : t.health_all_well(list.assessed)}</p>;
}

interface HealthFiltersProps {
  readonly list: HealthList;
  readonly filter: HealthFilter;
  readonly onFilter: (filter: HealthFilter) => void;
}

function HealthFilters({ list, filter, onFilter }: HealthFiltersProps) {
  const { t } = useSpeech();
  return (
    <div className="health-filters">
      <div className="filter-states" role="group" aria-label={t.health_how_soon}>
        {[3, 2, 1].map((severity) => (
          <button
            key={severity} type="button" className="chip" aria-pressed={filter.severity === severity}
            data-testid={`health-${severity}`} data-count={list.severities[severity] ?? 0}
            onClick={() => onFilter({ ...filter, severity: filter.severity === severity ? null : severity })}
          >
            <SeverityMark severity={severity} />
            <span className="figure">{list.severities[severity] ?? 0}</span>
          </button>
        ))}
      </div>
      <Choice label={t.column_area} all={t.health_all_areas} chosen={filter.area} options={list.areas.map((area) => [area, area])} onChoose={(area) => onFilter({ ...filter, area })} />
      <Choice label={t.filter_kinds} all={t.all_kinds} chosen={filter.kind} options={list.kinds.map((kind) => [kind, kindWord(t, kind)])} onChoose={(kind) => onFilter({ ...filter, kind })} />
    </div>
  );
}

interface ChoiceProps {
  readonly label: string;
  readonly all: string;
  readonly chosen: string | null;
  readonly options: readonly (readonly [string, string])[];
  readonly onChoose: (value: string | null) => void;
}

function Choice({ label, all, chosen, options, onChoose }: ChoiceProps) {
  return (
    <label className="filter-kind">
      <span className="only-spoken">{label}</span>
      <select value={chosen ?? ""} onChange={(event) => onChoose(event.target.value === "" ? null : event.target.value)}>
        <option value="">{all}</option>
        {options.map(([value, word]) => <option key={value} value={value}>{word}</option>)}
      </select>
    </label>
  );
}

function Row({ row }: { readonly row: HealthRow }) {
  const { t, language } = useSpeech();
  return (
    <li className="health-row" data-severity={row.severity} data-testid={`health-row-${row.name}`}>
      <div className="health-who">
        <SeverityMark severity={row.severity} />
        <a href={`#station=${encodeURIComponent(row.name)}`}>{placeName(row, language)}</a>
        <small>{[kindWord(t, row.kind), row.area].filter((word) => word !== "").join("・")}</small>
      </div>
      <FindingList row={row} />
      <div className="health-battery">
        <BatterySpark row={row} />
        <small>{row.battery_words[language]}</small>
      </div>
    </li>
  );
}

/** What is wrong and what to do; a second finding with the same thing to do says it once. */
export function FindingList({ row }: { readonly row: Pick<HealthRow, "findings"> }) {
  const { language } = useSpeech();
  const seen = new Set<string>();
  return (
    <ul className="health-findings">
      {row.findings.map((finding, index) => {
        const todo = finding.todo[language];
        const is_new = !seen.has(todo);
        seen.add(todo);
        return (
          <li key={`${finding.code}-${index}`} data-severity={finding.severity}>
            <strong>{finding.title[language]}</strong> <span className="health-reason">{finding.reason[language]}</span>
            {is_new && <p className="health-todo">{todo}</p>}
          </li>
        );
      })}
    </ul>
  );
}

function useHealth(filter: HealthFilter, limit: number) {
  return useAskedAgain((stop) => api.health(filter, limit, stop), ASK_AGAIN_MS, [filter, limit]);
}
