// Calm, and never silent: what is late, by how much, and what is not.

import { duration, SECOND, timeOrDate } from "../domain/time";
import type { Dictionary } from "../i18n/dictionaries";
import { useSpeech } from "../i18n/language";
import { delaysOf, type Delay } from "../live/delays";
import type { Feed } from "../live/faults";
import { useLive } from "../live/store";

/** Under a fault nothing is said here: the fault is louder and says more. */
export function DelayBar({ feed }: { readonly feed: Feed }) {
  const { t } = useSpeech();
  const { clock } = useLive();
  const delays = feed.kind === "ok" ? delaysOf(clock) : [];
  return (
    <div role="status" className="delay-region">
      {delays.length > 0 && (
        <ul className="delay-bar" data-testid="delay-bar" data-urgent={delays.some(isUrgent)}>
          {delays.map((delay) => (
            <li key={`${delay.step}-${"lane" in delay ? delay.lane : ""}`}>
              <svg viewBox="0 0 20 20" width="18" height="18" aria-hidden="true">
                <circle cx="10" cy="10" r="7.6" fill="none" stroke="currentColor" strokeWidth="2" />
                <path d="M10 5.6V10l3 2" fill="none" stroke="currentColor" strokeWidth="2" strokeLinecap="round" />
              </svg>
              <span>{wordsOf(delay, clock?.at ?? 0, t)}</span>
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}

function isUrgent(delay: Delay): boolean {
  return "lane" in delay && delay.lane === "urgent";
}

function wordsOf(delay: Delay, now: number, t: Dictionary): string {
  switch (delay.step) {
    case "intake":
    case "alerts": {
      const say = delay.step === "intake" ? t.delay_intake : t.delay_alerts;
      const other = delay.lane === "routine" && delay.is_other_ok ? ` ${t.delay_urgent_ok}` : "";
      return say(t[`lane_${delay.lane}`], span(delay.lag_s, t)) + other;
    }
    case "store":
      return t.delay_store(span(delay.lag_s, t));
    case "store_down":
      return t.delay_store_down(delay.since === null ? null : timeOrDate(delay.since, now), delay.reason);
  }
}

/** Steady words: seconds only below a minute, so that a screen reader is not told every second. */
function span(lag_s: number, t: Dictionary): string {
  return lag_s < 60 ? duration(Math.ceil(lag_s / 10) * 10 * SECOND, t) : duration(Math.floor(lag_s / 60) * 60 * SECOND, t);
}
