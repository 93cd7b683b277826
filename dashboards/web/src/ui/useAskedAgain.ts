// Asks the server when what it is about changes, and again now and then; the last answer stands meanwhile.

import { type DependencyList, useEffect, useState } from "react";

type Ask<T> = (stop: AbortSignal) => Promise<T>;

export interface Asked<T> {
  readonly found: T | null;
  readonly has_failed: boolean; // the last time: what was found before still stands
}

/** What `ask` answered last; it is asked when `about` changes and each `every_ms`. No `ask`: nobody is asked. */
export function useAskedAgain<T>(ask: Ask<T> | null, every_ms: number, about: DependencyList): Asked<T> {
  const [found, setFound] = useState<T | null>(null);
  const [has_failed, setFailed] = useState(false);
  const [round, setRound] = useState(0);
  useEffect(() => {
    if (ask === null) return;
    const stop = new AbortController();
    ask(stop.signal).then(
      (answer) => {
        setFound(answer);
        setFailed(false);
      },
      () => stop.signal.aborted || setFailed(true),
    );
    const timer = setTimeout(() => setRound((n) => n + 1), every_ms);
    return () => {
      stop.abort();
      clearTimeout(timer);
    };
  }, [...about, round]);
  return { found, has_failed };
}
