import { lazy, Suspense, useMemo, useState } from "react";
import { api } from "../api/client";
import type { ConsumptionStep, Station } from "../api/types";
import { barsOf, barTime, remarkWord, spanOf, STEPS, type Bars } from "../domain/consumption";
import { useSpeech } from "../i18n/language";
import { useAskedAgain } from "./useAskedAgain";

const ConsumptionChart = lazy(() => import("./ConsumptionChart"));

const QUANTITY = "water.total";
const METERS = new Set(["water-meter", "zone-meter"]);

/** What flowed through a water meter, as bars; nothing for other stations. */
export function ConsumptionSection({ station }: { readonly station: Station }) {
  const { t } = useSpeech();
  const [step, setStep] = useState<ConsumptionStep>("day");
  const newest_at = METERS.has(station.kind) ? (station.latest[QUANTITY]?.measured_at ?? null) : null;
  const { intervals, has_failed } = useConsumption(station, step, newest_at);
  const bars = useMemo(() => (intervals === null ? null : barsOf(intervals)), [intervals]);
  if (newest_at === null) return null;
  const is_empty = bars !== null && bars.missing === bars.at.length;
  return (
    <section className="course" data-testid="consumption">
      <div className="course-top">
        <h3>{t.used_title}<small>m³</small></h3>
        <div className="switch" role="group" aria-label={t.used_range}>
          {STEPS.map((one) => (
            <button key={one} type="button" aria-pressed={one === step} data-testid={`used-${one}`} onClick={() => setStep(one)}>
              {t[`used_${one}`]}
            </button>
          ))}
        </div>
      </div>
      <div className="chart chart-bars">
        {bars !== null && !is_empty && (
          <Suspense fallback={null}>
            <ConsumptionChart bars={bars} step={step} />
          </Suspense>
        )}
        {is_empty && <p className="chart-note">{t.used_empty}</p>}
        {bars === null && <p className="chart-note" role="status">{has_failed ? t.used_failed : t.loading}</p>}
      </div>
      {bars !== null && !is_empty && <BarsKey bars={bars} step={step} />}
    </section>
  );
}

/** The sum, what the hollow bars are, and what happened to the meter. */
function BarsKey({ bars, step }: { readonly bars: Bars; readonly step: ConsumptionStep }) {
  const { t } = useSpeech();
  return (
    <p className="chart-key">
      <span data-testid="used-total">{t.used_total(bars.total.toFixed(bars.total < 100 ? 2 : 0))}</span>
      {bars.partial.some((value) => value !== null) && <span>{t.used_partial}</span>}
      {bars.missing > 0 && <span>{t.used_missing(bars.missing)}</span>}
      {bars.events.map(({ at, remark }) => (
        <span key={`${at} ${remark}`} className="chart-suspect">{barTime(step, at)} {remarkWord(t, remark)}</span>
      ))}
    </p>
  );
}

const ASK_AGAIN_MS = 5 * 60_000;

/** Asked for anew when another meter or step is chosen, and every five minutes. */
function useConsumption({ name, interval_s }: Station, step: ConsumptionStep, newest_at: number | null) {
  const ask = async (until_at: number, stop: AbortSignal) => {
    const { from, to } = spanOf(step, until_at, interval_s, Date.now());
    return { name, step, intervals: (await api.consumption(name, step, from, to, stop)).intervals };
  };
  const is_meter = newest_at !== null;
  const { found, has_failed } = useAskedAgain(
    is_meter ? (stop) => ask(newest_at, stop) : null,
    ASK_AGAIN_MS,
    [name, interval_s, step, is_meter], // a newer reading alone does not ask anew: the round does
  );
  const is_asked = found?.name === name && found.step === step;
  return { intervals: is_asked ? found.intervals : null, has_failed };
}
