// How each state looks: colour, shape and sign. Words for it are in the dictionaries.
// Colours of levels 1 to 5 and of "missing" are the Cabinet Office / JMA scheme.

import { STATION_STATES, type Alarm, type StationState } from "../api/types";

export interface StateLook {
  readonly fill: string;
  readonly ink: string; // of the sign, readable on `fill`
  readonly edge: string; // outline that holds against map and paper
  readonly outline: string; // SVG path in a 24 × 24 box
  readonly sign: string; // "" for none
  readonly sign_y: number; // baseline middle of the sign
  readonly size: number; // on the map, CSS px
  readonly is_last_level?: boolean; // the edge tells the last known level
}

const CIRCLE = "M12 2.5a9.5 9.5 0 1 1 0 19a9.5 9.5 0 1 1 0-19Z";
const TRIANGLE = "M12 1.8 23 21.2H1Z";
const SQUARE = "M4.5 3h15A1.5 1.5 0 0 1 21 4.5v15a1.5 1.5 0 0 1-1.5 1.5h-15A1.5 1.5 0 0 1 3 19.5v-15A1.5 1.5 0 0 1 4.5 3Z";
const DIAMOND = "M12 .8 23.2 12 12 23.2.8 12Z";
const OCTAGON = "M7.6 1.5h8.8l6.1 6.1v8.8l-6.1 6.1H7.6l-6.1-6.1V7.6Z";
const PENTAGON = "M12 1.3 23 9.5 18.8 22.2H5.2L1 9.5Z";
const INVERTED = "M12 22.2 1 2.8h22Z";
const DOT = "M12 5a7 7 0 1 1 0 14a7 7 0 1 1 0-14Z";

const DARK = "#1b2a30";

export const LOOKS: Readonly<Record<StationState, StateLook>> = {
  normal: { fill: "#6aa699", ink: "#fff", edge: "#ffffff", outline: DOT, sign: "", sign_y: 12, size: 15 },
  standby: { fill: "#ffffff", ink: DARK, edge: DARK, outline: CIRCLE, sign: "1", sign_y: 12.4, size: 24 },
  caution: { fill: "#f2e700", ink: DARK, edge: DARK, outline: TRIANGLE, sign: "2", sign_y: 14.8, size: 29 },
  evacuation: { fill: "#ff2800", ink: "#fff", edge: "#ffffff", outline: SQUARE, sign: "3", sign_y: 12.4, size: 28 },
  danger: { fill: "#aa00aa", ink: "#fff", edge: "#ffffff", outline: DIAMOND, sign: "4", sign_y: 12.4, size: 33 },
  flooding: { fill: "#0c000c", ink: "#fff", edge: "#ffffff", outline: OCTAGON, sign: "5", sign_y: 12.4, size: 34 },
  closed: { fill: "#aa00aa", ink: "#fff", edge: "#ffffff", outline: CIRCLE, sign: "bar", sign_y: 12, size: 31 },
  triggered: { fill: "#0b5fa5", ink: "#fff", edge: "#ffffff", outline: PENTAGON, sign: "!", sign_y: 13, size: 28 },
  suspect: { fill: "#ffffff", ink: "#5a2d00", edge: "#5a2d00", outline: INVERTED, sign: "!", sign_y: 9.6, size: 26 },
  unknown: { fill: "#c8c8cb", ink: DARK, edge: DARK, outline: SQUARE, sign: "?", sign_y: 12.4, size: 23 },
};

const RANK: ReadonlyMap<StationState, number> = new Map(
  STATION_STATES.map((state, place) => [state, STATION_STATES.length - place]),
);

interface Condition {
  readonly state: StationState;
  readonly level: number;
}

/** A station that went silent in danger: it is not known to be out of it. */
export function isSilentInDanger({ state, level }: Condition): boolean {
  return state === "unknown" && level >= 2;
}

/** How urgent a condition is; higher is more urgent. Silence in danger ranks just below the danger. */
export function urgency(condition: Condition): number {
  const rank = RANK.get(condition.state) ?? 0;
  if (!isSilentInDanger(condition)) return rank;
  return Math.max(rank, (RANK.get(levelState(condition.level)) ?? 0) - 0.5);
}

/** How a condition looks: that of its state, and "4?" in the colour of level 4 for silence in danger. */
export function lookOf(condition: Condition): StateLook {
  if (!isSilentInDanger(condition)) return LOOKS[condition.state];
  const { fill } = LOOKS[levelState(condition.level)];
  return { ...LOOKS.unknown, edge: fill, sign: `${condition.level}?`, size: 30, is_last_level: true };
}

export function isStationState(word: string): word is StationState {
  return RANK.has(word as StationState);
}

const BY_LEVEL: readonly StationState[] = [
  "normal", "standby", "caution", "evacuation", "danger", "flooding",
];

/** The state that a level stands for. */
export function levelState(level: number): StationState {
  return BY_LEVEL[level] ?? "flooding";
}

/** The state by which an alarm is drawn. */
export function alarmState(alarm: Pick<Alarm, "stage" | "rule_kind" | "level">): StationState {
  if (alarm.rule_kind === "silence") return "unknown";
  if (isStationState(alarm.stage) && alarm.stage !== "normal") return alarm.stage;
  if (alarm.rule_kind === "event" && alarm.level <= 3) return "triggered";
  return BY_LEVEL[alarm.level] ?? "unknown";
}
