// The loudest thing on the page: it says that what is shown must not be trusted.

import { clockTime } from "../domain/time";
import type { Dictionary } from "../i18n/dictionaries";
import { useSpeech } from "../i18n/language";
import { newestReceived, type Fault, type Feed } from "../live/faults";
import type { LiveState } from "../live/state";
import { useLive } from "../live/store";

export function FaultBar({ feed }: { readonly feed: Feed }) {
  const { t } = useSpeech();
  const live = useLive();
  const faults = feed.kind === "fault" ? feed.faults : [];
  const shown_at = trueUntil(faults, live);
  return (
    <div role="alert" className="fault-region">
      {faults.length > 0 && (
        <div className="fault-bar" data-testid="fault-bar" data-faults={faults.join(" ")}>
          <svg viewBox="0 0 24 24" aria-hidden="true" className="fault-sign">
            <path d="M12 2.5 22.5 21H1.5Z" fill="#fff" />
            <path d="M12 9v6" stroke="#b81a00" strokeWidth="2.6" strokeLinecap="round" />
            <circle cx="12" cy="18" r="1.5" fill="#b81a00" />
          </svg>
          <div>
            <strong>{titleOf(faults, t)}</strong>
            <p>
              {faults.map((fault) => t[`fault_${fault}`]).join(" ")}
              {shown_at !== null && ` ${t.fault_as_of(clockTime(shown_at))}`}
            </p>
          </div>
        </div>
      )}
    </div>
  );
}

/** Until when the page is known to be true; null where only the judging of alarms has stopped. */
function trueUntil(faults: readonly Fault[], live: LiveState): number | null {
  if (faults.includes("no_events")) return live.shown_at;
  return faults.every((fault) => fault === "alerts_down") ? null : newestReceived(live.stations);
}

function titleOf(faults: readonly Fault[], t: Dictionary): string {
  return faults.every((fault) => fault === "alerts_down") ? t.fault_alerts_title : t.fault_title;
}
