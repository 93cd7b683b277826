// How a course is drawn with uPlot: axes in Japanese time, stage bands and lines behind, suspect
// points as crosses.

import uPlot from "uplot";
import type { Course } from "../domain/course";
import { isFlag, shownFigure } from "../domain/quantities";
import { uiScale } from "../map/images";
import type { StageLine } from "../domain/stages";
import { hourMinute, monthDay } from "../domain/time";

export interface ChartWords {
  readonly stages: readonly StageLine[];
  readonly quantity: string;
  readonly flags: readonly [string, string]; // the words for 0 and 1
}

export const INK = "#42545c";
export const GRID = "#e3e9ea";
export const LINE = "#00667a";
const SUSPECT = "#8a3b00";
export const FAMILY = '"Noto Sans JP", "Noto Sans CJK JP", "Hiragino Sans", "Yu Gothic UI", Meiryo, sans-serif';

/** From the lowest good value to the next stage above the highest, with air; never a flat sliver. */
export function yRange(course: Course, stages: readonly StageLine[], quantity: string): { low: number; high: number } {
  if (isFlag(quantity)) return { low: -0.25, high: 1.25 };
  const low = course.low ?? 0;
  const high = course.high ?? 1;
  const above = stages.find(({ value }) => value > high)?.value ?? high;
  const span = Math.max(above - low, 0.1 * Math.max(Math.abs(high), 1));
  const slack = above > high ? 0 : (span - (high - low)) / 2; // without a stage above, the curve is in the middle
  return { low: low - slack - 0.08 * span, high: Math.max(above, low - slack + span) + 0.12 * span };
}

export function chartOptions(width: number, height: number, words: ChartWords): uPlot.Options {
  const scale = uiScale();
  const font = `${12 * scale}px ${FAMILY}`;
  const is_flag = isFlag(words.quantity);
  const stepped = is_flag ? uPlot.paths.stepped?.({ align: 1 }) : undefined;
  return {
    width,
    height,
    tzDate: (at_s) => uPlot.tzDate(new Date(at_s * 1000), "Asia/Tokyo"),
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false }, points: { size: 8 } },
    padding: [8, 8, 0, 0],
    scales: { x: { time: true, auto: false }, y: { auto: false } },
    axes: [
      { stroke: INK, font, grid: { stroke: GRID, width: 1 }, ticks: { show: false }, size: 28 * scale, space: 58 * scale, values: (_, at) => at.map(timeWord) },
      { stroke: INK, font, grid: { stroke: GRID, width: 1 }, ticks: { show: false }, size: 48 * scale, space: 34 * scale, ...(is_flag && flagAxis(words)) },
    ],
    series: [
      {},
      { stroke: LINE, width: 2 * scale, spanGaps: false, ...(stepped && { paths: stepped }), points: { show: isSparse, size: 5 * scale, fill: LINE } },
      { stroke: SUSPECT, width: 0, paths: () => null, points: { show: drawCrosses } },
    ],
    hooks: { drawAxes: [(plot) => drawStages(plot, words)], setCursor: [(plot) => showReading(plot, words)] },
    plugins: [],
  };
}

/** Yes and no have two words, no numbers between them. */
function flagAxis({ flags }: ChartWords): Partial<uPlot.Axis> {
  return { splits: () => [0, 1], values: () => [...flags], space: 1 };
}

/** A usual CSS pixel in canvas pixels, larger on a wall. */
function one(): number {
  return devicePixelRatio * uiScale();
}

function timeWord(at_s: number): string {
  const word = hourMinute(at_s * 1000);
  return word === "00:00" ? monthDay(at_s * 1000) : word;
}

const POINT_APART_PX = 9;

/** Points are drawn where they stand apart, so that a rare reporter is not an empty chart. */
function isSparse(plot: uPlot): boolean {
  const [first, last] = [plot.data[0][0], plot.data[0].at(-1)];
  if (first === undefined || last === undefined || plot.data[0].length < 3) return true;
  const width = plot.valToPos(last, "x") - plot.valToPos(first, "x");
  return width / plot.data[0].length > POINT_APART_PX * uiScale();
}

function drawCrosses(plot: uPlot, series: number): boolean {
  const { ctx } = plot;
  const arm = 4 * one();
  ctx.save();
  ctx.strokeStyle = SUSPECT;
  ctx.lineWidth = 2 * one();
  ctx.beginPath();
  plot.data[series]?.forEach((value, row) => {
    const at = plot.data[0][row];
    if (value == null || at === undefined) return;
    const x = plot.valToPos(at, "x", true);
    const y = plot.valToPos(value, "y", true);
    ctx.moveTo(x - arm, y - arm);
    ctx.lineTo(x + arm, y + arm);
    ctx.moveTo(x + arm, y - arm);
    ctx.lineTo(x - arm, y + arm);
  });
  ctx.stroke();
  ctx.restore();
  return false;
}

function drawStages(plot: uPlot, { stages, quantity }: ChartWords): void {
  const { ctx } = plot;
  const { left, top, width, height } = plot.bbox;
  ctx.save();
  ctx.beginPath();
  ctx.rect(left, top, width, height);
  ctx.clip();
  stages.forEach((stage, index) => {
    const y = plot.valToPos(stage.value, "y", true);
    const above = stages[index + 1];
    const y_above = above === undefined ? top : plot.valToPos(above.value, "y", true);
    ctx.globalAlpha = stage.fill === "#ffffff" ? 0 : 0.1;
    ctx.fillStyle = stage.fill;
    ctx.fillRect(left, y_above, width, y - y_above);
    ctx.globalAlpha = 1;
    stageLine(ctx, left, width, y, stage);
  });
  ctx.restore();
  const taken: Box[] = [];
  for (const stage of stages.toReversed()) stageLabel(plot, stage, quantity, taken);
}

function stageLine(ctx: CanvasRenderingContext2D, left: number, width: number, y: number, stage: StageLine): void {
  ctx.lineWidth = 3 * one();
  ctx.strokeStyle = "rgba(27, 42, 48, .55)";
  line(ctx, left, width, y);
  ctx.lineWidth = 1.8 * one();
  ctx.strokeStyle = stage.fill;
  line(ctx, left, width, y);
}

function line(ctx: CanvasRenderingContext2D, left: number, width: number, y: number): void {
  ctx.beginPath();
  ctx.moveTo(left, y);
  ctx.lineTo(left + width, y);
  ctx.stroke();
}

interface Box {
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly bottom: number;
}

/** On its line at the left, or at the right where the curve or another label is in the way. */
function stageLabel(plot: uPlot, stage: StageLine, quantity: string, taken: Box[]): void {
  const { ctx } = plot;
  const { left, top, height } = plot.bbox;
  const y = plot.valToPos(stage.value, "y", true);
  if (y < top || y > top + height) return;
  const px = one();
  ctx.save();
  ctx.font = `600 ${11 * px}px ${FAMILY}`;
  const text = `${stage.word} ${shownFigure(quantity, stage.value)}`;
  const width = ctx.measureText(text).width + 10 * px;
  const box_top = Math.max(top, y - 17 * px);
  const right = left + plot.bbox.width - width - 4 * px;
  const boxes = [left + 4 * px, right].map((at) => ({ left: at, right: at + width, top: box_top, bottom: box_top + 16 * px }));
  const box = boxes.find((one) => !isCovered(plot, one) && !taken.some((other) => overlaps(one, other))) ?? boxes[0];
  if (box === undefined) return;
  taken.push(box);
  const box_left = box.left;
  ctx.beginPath();
  ctx.roundRect(box_left, box_top, width, 16 * px, 3 * px);
  ctx.fillStyle = stage.fill;
  ctx.fill();
  ctx.strokeStyle = "rgba(27, 42, 48, .55)";
  ctx.lineWidth = px;
  ctx.stroke();
  ctx.fillStyle = stage.ink;
  ctx.textAlign = "left";
  ctx.textBaseline = "middle";
  ctx.fillText(text, box_left + 5 * px, box_top + 8.5 * px);
  ctx.restore();
}

/** Whether the curve runs through a label's box, canvas px. */
function isCovered(plot: uPlot, { left, right, top, bottom }: Box): boolean {
  return plot.data[0].some((at, row) => {
    const value = plot.data[1]?.[row];
    if (value == null) return false;
    const x = plot.valToPos(at, "x", true);
    const y = plot.valToPos(value, "y", true);
    return x >= left && x <= right && y >= top - 4 && y <= bottom + 4;
  });
}

function overlaps(a: Box, b: Box): boolean {
  return a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
}

/** The reading under the pointer, as words above the chart. */
function showReading(plot: uPlot, { quantity, flags }: ChartWords): void {
  const row = plot.cursor.idx ?? null;
  const at = row === null ? undefined : plot.data[0][row];
  const value = row === null ? undefined : (plot.data[1]?.[row] ?? plot.data[2]?.[row]);
  let bubble = plot.over.querySelector<HTMLElement>(".chart-reading");
  if (bubble === null) {
    bubble = document.createElement("div");
    bubble.className = "chart-reading";
    plot.over.append(bubble);
  }
  bubble.hidden = at === undefined || value == null;
  if (at === undefined || value == null) return;
  bubble.textContent = `${monthDay(at * 1000)} ${hourMinute(at * 1000)}　${isFlag(quantity) ? flags[value === 0 ? 0 : 1] : shownFigure(quantity, value)}`;
  bubble.style.left = plot.valToPos(at, "x") > plot.over.clientWidth / 2 ? "4px" : "auto";
  bubble.style.right = plot.valToPos(at, "x") > plot.over.clientWidth / 2 ? "auto" : "4px";
}
