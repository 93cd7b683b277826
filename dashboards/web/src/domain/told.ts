// Whom an alarm has reached. A log reaches nobody.

import type { Delivery } from "../api/types";

export interface Told {
  readonly reached: readonly string[]; // people, or channels without a person, once each
  readonly failed: number;
  readonly waiting: number;
  readonly is_logged: boolean;
}

const NOBODY = "log";

export function toldTo(deliveries: readonly Delivery[]): Told {
  const to_people = deliveries.filter(({ channel }) => channel !== NOBODY);
  const sent = to_people.filter(({ state }) => state === "sent");
  const failed = to_people.filter(({ state }) => state === "failed").length;
  return {
    reached: [...new Set(sent.map(({ person, channel }) => person ?? channel))],
    failed,
    waiting: to_people.length - sent.length - failed,
    is_logged: to_people.length < deliveries.length,
  };
}
