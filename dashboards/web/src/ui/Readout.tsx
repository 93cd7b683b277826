// The one look that must suffice: state, since when, the main value, where it is heading.

import type { Station } from "../api/types";
import { nextStage } from "../domain/order";
import { figure, figureWithUnit, isFlag, isSuspect, quantityName, unitOf } from "../domain/quantities";
import { ago, duration, SECOND, timeOrDate } from "../domain/time";
import { levelState } from "../domain/states";
import type { Dictionary } from "../i18n/dictionaries";
import { useSpeech } from "../i18n/language";
import { stageWord } from "../i18n/words";
import { useDelayedLanes, useNow } from "../live/store";
import { StateMark } from "./StateMark";

export function Readout({ station }: { readonly station: Station }) {
  const { t } = useSpeech();
  const now = useNow(SECOND);
  const { state, kind, level, state_since, last_received_at } = station;
  return (
    <section className="readout" data-state={state}>
      <div className="readout-state">
        <StateMark state={state} level={level} size={44} />
        <div>
          <p className="readout-word">
            {stageWord(t, state, kind)}
            {level > 0 && state !== "unknown" && state !== "suspect" && <small>{t.level(level)}</small>}
          </p>
          {state_since !== null && (
            <p className="readout-since">{t.since(timeOrDate(state_since, now), duration(now - state_since, t))}</p>
          )}
        </div>
      </div>
      {state === "unknown" && (
        <p className="readout-note">
          {t.unknown_note} {last_received_at === null ? t.unknown_never : level > 0 && t.unknown_last(levelWord(t, station))}
        </p>
      )}
      {state === "suspect" && <p className="readout-note">{t.suspect_note}</p>}
      <MainValue station={station} now={now} />
      <p className="readout-received">
        {last_received_at !== null && t.received_last(ago(last_received_at, now, t))}
        {"　"}{t.interval(duration(station.interval_s * SECOND, t))}
      </p>
    </section>
  );
}

function levelWord(t: Dictionary, station: Station): string {
  return stageWord(t, levelState(station.level), station.kind);
}

function MainValue({ station, now }: { readonly station: Station; readonly now: number }) {
  const { t, language } = useSpeech();
  const delayed = useDelayedLanes();
  const { main } = station;
  const latest = main === null ? undefined : station.latest[main];
  if (main === null || latest === undefined || isFlag(main)) return null;
  const is_delayed = delayed.has(station.lane);
  const is_current = station.state !== "unknown" && !isSuspect(latest.quality) && !is_delayed;
  return (
    <div className="readout-value" data-current={station.state !== "unknown"}>
      <div className="readout-main">
        <p className="readout-name">
          {quantityName(main, language)}
          {station.state === "unknown" && <strong>{t.last_value}</strong>}
        </p>
        <p className="readout-figure" data-testid="main-value">
          {figure(main, latest.value)}<small>{unitOf(main)}</small>
        </p>
        <p className="readout-when">
          {t.measured(timeOrDate(latest.measured_at, now))}
          {is_delayed && <span className="flag flag-doubt">{t.delayed_value}</span>}
          {isSuspect(latest.quality) && <span className="flag flag-doubt">{t.quality_suspect}</span>}
        </p>
      </div>
      {is_current && station.rise_per_h !== null && <Rise quantity={main} rise_per_h={station.rise_per_h} />}
      {is_current && <Distance station={station} value={latest.value} />}
    </div>
  );
}

const STEADY_M_PER_H = 0.02;

function Rise({ quantity, rise_per_h }: { readonly quantity: string; readonly rise_per_h: number }) {
  const { t } = useSpeech();
  const is_steady = Math.abs(rise_per_h) < STEADY_M_PER_H;
  const direction = is_steady ? "steady" : rise_per_h > 0 ? "rising" : "falling";
  return (
    <div className="rise" data-direction={direction}>
      <p className="readout-name">{t.rise}</p>
      <p className="rise-figure">
        <svg viewBox="0 0 20 20" width="20" height="20" aria-hidden="true">
          <path d={is_steady ? "M3 10h13m-5-5 5 5-5 5" : rise_per_h > 0 ? "M5 15 15 5m0 8V5H7" : "M5 5l10 10m0-8v8H7"} />
        </svg>
        {is_steady ? t.rise_steady : <>{figure(quantity, rise_per_h, true)}<small>{t.per_hour(unitOf(quantity))}</small></>}
      </p>
    </div>
  );
}

/** How far below the next stage the water is, or how far above the highest. */
function Distance({ station, value }: { readonly station: Station; readonly value: number }) {
  const { t } = useSpeech();
  const next = nextStage(station.thresholds, value);
  if (next !== null) {
    return <p className="distance">{t.next_stage(stageWord(t, next.stage, station.kind), figureWithUnit(station.main, next.distance))}</p>;
  }
  const highest = Object.entries(station.thresholds).toSorted((a, b) => b[1] - a[1])[0];
  if (highest === undefined) return null;
  return (
    <p className="distance distance-over">
      {t.over_stage(stageWord(t, highest[0], station.kind), figureWithUnit(station.main, value - highest[1]))}
    </p>
  );
}

