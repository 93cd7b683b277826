import { useEffect, useRef } from "react";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import type { ConsumptionStep } from "../api/types";
import { barTime, type Bars } from "../domain/consumption";
import { useSpeech } from "../i18n/language";
import { uiScale } from "../map/images";
import { barOptions } from "./bars";

interface ConsumptionChartProps {
  readonly bars: Bars;
  readonly step: ConsumptionStep;
}

const heightPx = () => Math.round(190 * uiScale());

export default function ConsumptionChart({ bars, step }: ConsumptionChartProps) {
  const { t } = useSpeech();
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const element = box.current;
    if (element === null) return;
    const data: uPlot.AlignedData = [bars.at.map((_, row) => row), [...bars.whole], [...bars.partial]];
    const created = new uPlot(barOptions(element.clientWidth, heightPx(), bars, step), data, element);
    const watcher = new ResizeObserver(() => created.setSize({ width: element.clientWidth, height: heightPx() }));
    watcher.observe(element);
    return () => {
      watcher.disconnect();
      created.destroy();
    };
  }, [bars, step]);
  const [first, last] = [bars.at[0] ?? 0, bars.at.at(-1) ?? 0];
  const words = [bars.total, bars.most].map((value) => value.toFixed(2));
  return (
    <div role="img" aria-label={t.used_summary(t.used_title, barTime(step, first), barTime(step, last), words[0] ?? "", words[1] ?? "")}>
      <div ref={box} className="chart-box" aria-hidden="true" />
    </div>
  );
}
