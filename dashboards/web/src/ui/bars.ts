// How bars are drawn with uPlot: one an interval, hollow where a part of it is not known.

import uPlot from "uplot";
import type { ConsumptionStep } from "../api/types";
import { barTime, barWord, type Bars } from "../domain/consumption";
import { uiScale } from "../map/images";
import { FAMILY, GRID, INK, LINE } from "./chart";

const HOLLOW = "#ffffff";

export function barOptions(width: number, height: number, bars: Bars, step: ConsumptionStep): uPlot.Options {
  const scale = uiScale();
  const font = `${12 * scale}px ${FAMILY}`;
  const paths = uPlot.paths.bars?.({ size: [0.72, 48 * scale] });
  const drawn = { stroke: LINE, points: { show: false }, ...(paths && { paths }) };
  const last = bars.at.length - 1;
  return {
    width,
    height,
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false }, points: { show: false } },
    padding: [8, 8, 0, 0],
    scales: { x: { time: false, range: [-0.6, last + 0.6] }, y: { range: [0, 1.1 * Math.max(bars.most, 0.01)] } },
    axes: [
      {
        stroke: INK, font, grid: { show: false }, ticks: { show: false }, size: 28 * scale, space: 58 * scale, incrs: [1, 2, 3, 5, 6, 7, 10, 12],
        values: (_, rows) => rows.map((row) => wordAt(bars, step, row)),
      },
      { stroke: INK, font, grid: { stroke: GRID, width: 1 }, ticks: { show: false }, size: 48 * scale, space: 34 * scale },
    ],
    series: [{}, { ...drawn, width: 0, fill: LINE }, { ...drawn, width: 1.5 * scale, fill: HOLLOW }],
    hooks: { setCursor: [(plot) => showBar(plot, bars, step)] },
  };
}

function wordAt(bars: Bars, step: ConsumptionStep, row: number): string {
  const at = bars.at[row];
  return at === undefined ? "" : barWord(step, at);
}

/** The bar under the pointer, as words above the chart. */
function showBar(plot: uPlot, bars: Bars, step: ConsumptionStep): void {
  const row = plot.cursor.idx ?? null;
  const at = row === null ? undefined : bars.at[row];
  const value = row === null ? null : (bars.whole[row] ?? bars.partial[row] ?? null);
  let bubble = plot.over.querySelector<HTMLElement>(".chart-reading");
  if (bubble === null) {
    bubble = document.createElement("div");
    bubble.className = "chart-reading";
    plot.over.append(bubble);
  }
  bubble.hidden = row === null || at === undefined;
  if (row === null || at === undefined) return;
  bubble.textContent = `${barTime(step, at)}　${value === null ? "—" : `${value.toFixed(3)} m³`}`;
  const is_right = plot.valToPos(row, "x") > plot.over.clientWidth / 2;
  bubble.style.left = is_right ? "4px" : "auto";
  bubble.style.right = is_right ? "auto" : "4px";
}
