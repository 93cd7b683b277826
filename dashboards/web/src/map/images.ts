// Draws what the map shows as images: state marks, station tags, place names. Text becomes images
// because the map has no glyph server and must work without one.

import { STATION_STATES, type StationState } from "../api/types";
import { isSilentInDanger, lookOf, LOOKS, type StateLook } from "../domain/states";

const FONT = '"Noto Sans JP", "Noto Sans CJK JP", "Hiragino Sans", "Yu Gothic UI", Meiryo, sans-serif';
/** Canvas pixels to a CSS pixel. */
export const PIXEL_RATIO = Math.max(2, Math.ceil(globalThis.devicePixelRatio ?? 1));

const USUAL_FONT_PX = 15;

/** How much larger than usual everything is drawn: a wall map has a larger root font. */
export function uiScale(): number {
  return Number.parseFloat(getComputedStyle(document.documentElement).fontSize) / USUAL_FONT_PX;
}

const MARGIN = 4; // room for the outlines, CSS px

function canvas(width: number, height: number): CanvasRenderingContext2D {
  const element = document.createElement("canvas");
  const scale = PIXEL_RATIO * uiScale();
  element.width = Math.ceil(width * scale);
  element.height = Math.ceil(height * scale);
  const pen = element.getContext("2d", { willReadFrequently: true }); // drawn once, read back at once
  if (pen === null) throw new Error("no 2D canvas");
  pen.scale(scale, scale);
  return pen;
}

function pixels(pen: CanvasRenderingContext2D): ImageData {
  return pen.getImageData(0, 0, pen.canvas.width, pen.canvas.height);
}

export function markName(state: StationState, level: number): string {
  return isSilentInDanger({ state, level }) ? `mark|${state}|${level}` : `mark|${state}`;
}

function drawMark(look: StateLook): ImageData {
  const side = look.size + 2 * MARGIN;
  const pen = canvas(side, side);
  const unit = look.size / 24;
  pen.translate(MARGIN, MARGIN);
  pen.scale(unit, unit);
  const outline = new Path2D(look.outline);
  const has_dark_halo = look.edge === "#ffffff" || look.is_last_level === true;
  pen.lineJoin = "round";
  if (look.sign !== "") stroke(pen, outline, has_dark_halo ? "rgba(16, 36, 42, .55)" : "#ffffff", 5.4 / unit);
  stroke(pen, outline, look.edge, (look.sign === "" ? 2 : 3.4) / unit);
  pen.fillStyle = look.fill;
  pen.fill(outline);
  drawSign(pen, look);
  return pixels(pen);
}

function stroke(pen: CanvasRenderingContext2D, path: Path2D, colour: string, width: number): void {
  pen.strokeStyle = colour;
  pen.lineWidth = width;
  pen.stroke(path);
}

function drawSign(pen: CanvasRenderingContext2D, look: StateLook): void {
  if (look.sign === "") return;
  pen.fillStyle = look.ink;
  if (look.sign === "bar") {
    pen.fillRect(5.5, 9.8, 13, 4.4);
    return;
  }
  pen.font = `700 ${look.sign.length > 1 ? 11 : 12.5}px ${FONT}`;
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  pen.fillText(look.sign, 12, look.sign_y + 0.5);
}

/** What was normal when the data stopped coming: a hollow grey ring, nothing to be calm about. */
export const STALE_MARK = "mark|stale";
const STALE: StateLook = { ...LOOKS.normal, fill: "#ffffff", edge: "#6b777b" };

export function allMarks(): readonly (readonly [string, ImageData])[] {
  return [
    [STALE_MARK, drawMark(STALE)],
    ...STATION_STATES.map((state) => [markName(state, 0), drawMark(LOOKS[state])] as const),
    ...[2, 3, 4, 5].map((level) => [markName("unknown", level), drawMark(lookOf({ state: "unknown", level }))] as const),
  ];
}

const SPLIT = "\u001f";

export function tagName(state: StationState, name: string, value: string): string {
  return ["tag", state, name, value].join(SPLIT);
}

export function placeImageName(name: string): string {
  return ["place", name].join(SPLIT);
}

export function isTextImage(name: string): boolean {
  return name.startsWith(`tag${SPLIT}`) || name.startsWith(`place${SPLIT}`);
}

/** The image for a tag's or place's name, or null for any other name. */
export function textImage(image_name: string): ImageData | null {
  const [what, first = "", name = "", value = ""] = image_name.split(SPLIT);
  if (what === "tag") return drawTag(first as StationState, name, value);
  return what === "place" ? drawPlace(first) : null;
}

const NAME_FONT = `500 12.5px ${FONT}`;
const VALUE_FONT = `700 13px ${FONT}`;

let measuring: CanvasRenderingContext2D | null = null;

function textWidth(font: string, text: string): number {
  measuring ??= canvas(1, 1);
  measuring.font = font;
  return measuring.measureText(text).width;
}

function tagWidth(name: string, value: string): number {
  return 9 + textWidth(NAME_FONT, name) + (value === "" ? 0 : textWidth(VALUE_FONT, value) + 7) + 8;
}

/** How wide the tag of this image name is drawn, CSS px. */
export function tagWidthPx(image_name: string): number {
  const [, , name = "", value = ""] = image_name.split(SPLIT);
  return (tagWidth(name, value) + 2) * uiScale();
}

function drawTag(state: StationState, name: string, value: string): ImageData {
  const height = 22;
  const name_width = textWidth(NAME_FONT, name);
  const width = tagWidth(name, value);
  const pen = canvas(width + 2, height + 2);
  pen.beginPath();
  pen.roundRect(1, 1, width, height, 5);
  pen.fillStyle = "rgba(255, 255, 255, .95)";
  pen.fill();
  pen.strokeStyle = "rgba(16, 36, 42, .45)";
  pen.stroke();
  pen.fillStyle = LOOKS[state].fill;
  pen.fillRect(1.5, 5, 3, height - 8);
  pen.textBaseline = "middle";
  pen.fillStyle = "#16242b";
  pen.font = NAME_FONT;
  pen.fillText(name, 9, height / 2 + 1.5);
  pen.font = VALUE_FONT;
  pen.fillText(value, 9 + name_width + 7, height / 2 + 1.5);
  return pixels(pen);
}

function drawPlace(name: string): ImageData {
  const font = `500 12px ${FONT}`;
  const width = textWidth(font, name) + 8;
  const pen = canvas(width, 20);
  pen.font = font;
  pen.textBaseline = "middle";
  pen.lineJoin = "round";
  pen.lineWidth = 3;
  pen.strokeStyle = "rgba(244, 247, 246, .9)";
  pen.strokeText(name, 4, 10.5);
  pen.fillStyle = "#5b6b72";
  pen.fillText(name, 4, 10.5);
  return pixels(pen);
}
