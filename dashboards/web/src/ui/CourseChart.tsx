import { useEffect, useMemo, useRef } from "react";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import type { Course, TimeWindow } from "../domain/course";
import { chartOptions, yRange, type ChartWords } from "./chart";
import { stagesOf } from "../domain/stages";
import { isFlag, shownFigure } from "../domain/quantities";
import { useSpeech } from "../i18n/language";
import { uiScale } from "../map/images";
import { stageWord } from "../i18n/words";

interface CourseChartProps {
  readonly course: Course;
  readonly time_window: TimeWindow;
  readonly kind: string;
  readonly quantity: string;
  readonly name: string;
  readonly thresholds: Readonly<Record<string, number>>;
}

const heightPx = () => Math.round(250 * uiScale());

export default function CourseChart(props: CourseChartProps) {
  const { course, time_window, kind, quantity, name, thresholds } = props;
  const { start_at, end_at } = time_window;
  const { t } = useSpeech();
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const stages = useMemo(() => stagesOf(thresholds, quantity, (stage) => stageWord(t, stage, kind)), [thresholds, quantity, kind, t]);
  const words = useMemo<ChartWords>(() => ({ stages, quantity, flags: [t.no, t.yes] }), [stages, quantity, t]);

  useEffect(() => {
    const element = box.current;
    if (element === null) return;
    const created = new uPlot(chartOptions(element.clientWidth, heightPx(), words), [[], [], []], element);
    plot.current = created;
    const watcher = new ResizeObserver(() => created.setSize({ width: element.clientWidth, height: heightPx() }));
    watcher.observe(element);
    return () => {
      watcher.disconnect();
      created.destroy();
      plot.current = null;
    };
  }, [words]);

  useEffect(() => {
    const drawn = plot.current;
    if (drawn === null) return;
    const range = yRange(course, stages, words.quantity);
    const kept = course.suspect.map((value) => (value === null ? null : Math.min(range.high, Math.max(range.low, value))));
    drawn.batch(() => {
      drawn.setData([course.at_s, course.line, kept], false);
      drawn.setScale("x", { min: start_at / 1000, max: (end_at + (end_at - start_at) * 0.02) / 1000 });
      drawn.setScale("y", { min: range.low, max: range.high });
    });
  }, [course, start_at, end_at, stages, words]);

  const word = (value: number | null) => {
    if (value === null) return "—";
    return isFlag(quantity) ? words.flags[value === 0 ? 0 : 1] : shownFigure(quantity, value);
  };
  return (
    <div role="img" aria-label={t.chart_summary(name, word(course.low), word(course.high), word(course.last))}>
      <div ref={box} className="chart-box" aria-hidden="true" />
    </div>
  );
}
