// The live connection: hears /api/live, hands events on, reconnects with growing pauses.

import type { Changes, ServerClock, Snapshot } from "../api/types";
import { STALE_AFTER_MS } from "./faults";
import type { LiveEvent } from "./state";

const PAUSES_MS = [500, 1000, 2000, 4000, 8000, 15_000] as const;

/** How long to wait before attempt number `attempt` (0 first), ms; `chance` in [0, 1) spreads them. */
export function pauseBefore(attempt: number, chance: number): number {
  const pause = PAUSES_MS[Math.min(attempt, PAUSES_MS.length - 1)] ?? 15_000;
  return pause * (0.75 + chance / 2);
}

interface Listener {
  readonly heard: (event: LiveEvent) => void;
  /** Asked after each loss: false when the session is over and reconnecting is no use. */
  readonly mayReconnect: () => Promise<boolean>;
}

/** Listen until the returned function is called. */
export function listen({ heard, mayReconnect }: Listener): () => void {
  let source: EventSource | null = null;
  let attempt = 0;
  let timer = 0;
  let watchdog = 0;
  let is_over = false;

  function open(): void {
    source = new EventSource("/api/live");
    source.addEventListener("snapshot", on("snapshot"));
    source.addEventListener("changes", on("changes"));
    source.addEventListener("clock", on("clock"));
    source.onerror = () => void lose();
    watch();
  }

  function on(type: "snapshot" | "changes" | "clock") {
    return (message: MessageEvent<string>) => {
      const data: unknown = JSON.parse(message.data);
      attempt = 0;
      watch();
      heard(eventOf(type, data, Date.now()));
    };
  }

  // A connection that is open but says nothing is as good as lost.
  function watch(): void {
    clearTimeout(watchdog);
    watchdog = window.setTimeout(() => void lose(), STALE_AFTER_MS + 2000);
  }

  async function lose(): Promise<void> {
    if (source === null) return;
    source.close();
    source = null;
    clearTimeout(watchdog);
    heard({ type: "disconnected" });
    if (!(await mayReconnect()) || is_over) return;
    timer = window.setTimeout(open, pauseBefore(attempt, Math.random()));
    attempt += 1;
  }

  open();
  return () => {
    is_over = true;
    clearTimeout(timer);
    clearTimeout(watchdog);
    source?.close();
    source = null;
  };
}

function eventOf(type: "snapshot" | "changes" | "clock", data: unknown, heard_at: number): LiveEvent {
  switch (type) {
    case "snapshot":
      return { type, data: data as Snapshot, heard_at };
    case "changes":
      return { type, data: data as Changes, heard_at };
    case "clock":
      return { type, data: data as ServerClock, heard_at };
  }
}
