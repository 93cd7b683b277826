import { lazy, Suspense, useEffect, useMemo, useState } from "react";
import { api } from "../api/client";
import type { Samples, Station } from "../api/types";
import { courseOf, gapAfter, windowOf, withLatest, type Course } from "../domain/course";
import { quantityName, unitOf } from "../domain/quantities";
import { DAY, duration, HOUR, MINUTE, timeOrDate } from "../domain/time";
import type { Dictionary } from "../i18n/dictionaries";
import { useSpeech } from "../i18n/language";
import { useNow } from "../live/store";

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
  const [found, setFound] = useState<{ readonly span_ms: number; readonly samples: Samples } | null>(null);
  const [has_failed, setFailed] = useState(false);
  const [round, setRound] = useState(0);
  useEffect(() => {
    if (series === null) return;
    const stop = new AbortController();
    const end_at = Date.now() + 5 * MINUTE;
    api.samples(series, end_at - span_ms - 5 * MINUTE, end_at, stop.signal).then(
      (samples) => {
        setFound({ span_ms, samples });
        setFailed(false);
      },
      () => stop.signal.aborted || setFailed(true),
    );
    const timer = setTimeout(() => setRound((n) => n + 1), ASK_AGAIN_MS);
    return () => {
      stop.abort();
      clearTimeout(timer);
    };
  }, [series, span_ms, round]);
  return { samples: found?.span_ms === span_ms ? found.samples : null, has_failed };
}
