import { lazy, Suspense, useMemo, useState } from "react";
import { api } from "../api/client";
import type { Station } from "../api/types";
import { courseOf, gapAfter, windowOf, withLatest, type Course } from "../domain/course";
import { quantityName, unitOf } from "../domain/quantities";
import { DAY, duration, HOUR, MINUTE, timeOrDate } from "../domain/time";
import type { Dictionary } from "../i18n/dictionaries";
import { useSpeech } from "../i18n/language";
import { useNow } from "../live/store";
import { useAskedAgain } from "./useAskedAgain";

const CourseChart = lazy(() => import("./CourseChart"));

const SPANS = [3 * HOUR, 24 * HOUR, 7 * DAY] as const;
const MAX_POINTS = 800;

export function CourseSection({ station }: { readonly station: Station }) {
  const { t, language } = useSpeech();
  const [span_ms, setSpan] = useState<number>(SPANS[0]);
  const latest = station.main === null ? undefined : station.latest[station.main];
  const { samples, has_failed } = useSamples(latest?.series ?? null, span_ms);
  const now = useNow(MINUTE);
  const course = useMemo(() => {
    if (samples === null) return null;
    const whole = latest === undefined ? samples : withLatest(samples, latest);
    return courseOf(whole, gapAfter(station.interval_s, span_ms, MAX_POINTS));
  }, [samples, latest, station.interval_s, span_ms]);

  if (station.main === null || latest === undefined) return null;
  const name = quantityName(station.main, language);
  const unit = unitOf(station.main);
  const has_suspect = course?.suspect.some((value) => value !== null) === true;
  return (
    <section className="course">
      <div className="course-top">
        <h3>{name}<small>{unit}</small></h3>
        <div className="switch" role="group" aria-label={t.chart_range}>
          {SPANS.map((span) => (
            <button key={span} type="button" aria-pressed={span === span_ms} data-testid={`range-${span / HOUR}h`} onClick={() => setSpan(span)}>
              {spanWord(t, span)}
            </button>
          ))}
        </div>
      </div>
      <div className="chart" data-testid="chart">
        {course !== null && course.at_s.length > 0 && (
          <Suspense fallback={null}>
            <CourseChart course={course} time_window={windowOf(course, now, span_ms)} kind={station.kind} quantity={station.main} thresholds={station.thresholds} name={name} />
          </Suspense>
        )}
        {course !== null && course.at_s.length === 0 && <p className="chart-note">{t.chart_empty}</p>}
        {course === null && <p className="chart-note" role="status">{has_failed ? t.chart_failed : t.loading}</p>}
      </div>
      <p className="chart-key">
        {has_suspect && <span className="chart-suspect"><b aria-hidden="true">✕</b> {t.chart_suspect}</span>}
        {course !== null && course.at_s.length > 0 && <SpanShown course={course} now={now} span_ms={span_ms} />}
        <span>{t.chart_gap}</span>
      </p>
    </section>
  );
}

/** From when to when the chart reaches, and why it is shorter than asked for. */
function SpanShown({ course, now, span_ms }: { readonly course: Course; readonly now: number; readonly span_ms: number }) {
  const { t } = useSpeech();
  const { start_at, end_at, is_shortened } = windowOf(course, now, span_ms);
  const first_at = (course.at_s[0] ?? 0) * 1000;
  return (
    <span data-testid="chart-span">
      {t.chart_shown(timeOrDate(start_at, now), timeOrDate(end_at, now), duration(Math.round((end_at - start_at) / MINUTE) * MINUTE, t))}
      {is_shortened && ` ${t.chart_begins(timeOrDate(first_at, now))}`}
    </span>
  );
}

function spanWord(t: Dictionary, span_ms: number): string {
  return span_ms <= DAY ? t.chart_hours(span_ms / HOUR) : t.chart_days(span_ms / DAY);
}

const ASK_AGAIN_MS = 60_000;

/** The samples of the last `span_ms`, asked anew each minute; the newest reading comes by live. */
function useSamples(series: number | null, span_ms: number) {
  const ask = async (of: number, stop: AbortSignal) => {
    const end_at = Date.now() + 5 * MINUTE;
    return { span_ms, samples: await api.samples(of, end_at - span_ms - 5 * MINUTE, end_at, stop) };
  };
  const { found, has_failed } = useAskedAgain(
    series === null ? null : (stop) => ask(series, stop),
    ASK_AGAIN_MS,
    [series, span_ms],
  );
  return { samples: found?.span_ms === span_ms ? found.samples : null, has_failed };
}
