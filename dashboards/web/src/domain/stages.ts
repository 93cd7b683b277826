// The stages of a station as lines on a chart, in the unit shown.

import { shown } from "./quantities";
import { isStationState, LOOKS } from "./states";

export interface StageLine {
  readonly stage: string;
  readonly word: string;
  readonly value: number; // in the unit shown
  readonly fill: string;
  readonly ink: string;
}

/** Lowest first. */
export function stagesOf(
  thresholds: Readonly<Record<string, number>>,
  quantity: string,
  wordOf: (stage: string) => string,
): readonly StageLine[] {
  return Object.entries(thresholds)
    .map(([stage, threshold]) => {
      const look = isStationState(stage) ? LOOKS[stage] : LOOKS.unknown;
      return { stage, word: wordOf(stage), value: shown(quantity, threshold), fill: look.fill, ink: look.ink };
    })
    .toSorted((a, b) => a.value - b.value);
}
