// Joins the live connection to React: one store a session, read through hooks.

import {
  createContext, useContext, useEffect, useMemo, useState, useSyncExternalStore, type ReactNode,
} from "react";
import { api, ApiError } from "../api/client";
import type { Lane } from "../api/types";
import { listen } from "./connection";
import { delayedLanes } from "./delays";
import { judgeFeed, type Feed } from "./faults";
import { reduce, SILENT, type LiveEvent, type LiveState } from "./state";

export class LiveStore {
  readonly started_at = Date.now();
  private state: LiveState = SILENT;
  private readonly watchers = new Set<() => void>();

  readonly read = (): LiveState => this.state;

  readonly hear = (event: LiveEvent): void => {
    const next = reduce(this.state, event);
    if (next === this.state) return;
    this.state = next;
    for (const watcher of this.watchers) watcher();
  };

  readonly watch = (watcher: () => void): (() => void) => {
    this.watchers.add(watcher);
    return () => this.watchers.delete(watcher);
  };
}

const StoreContext = createContext<LiveStore | null>(null);

interface LiveProviderProps {
  readonly children: ReactNode;
  readonly onSignedOut: () => void;
}

export function LiveProvider({ children, onSignedOut }: LiveProviderProps) {
  const store = useMemo(() => new LiveStore(), []);
  useEffect(
    () =>
      listen({
        heard: (event) => {
          store.hear(event);
          if (event.type === "snapshot") void recallCleared(store);
        },
        mayReconnect: async () => {
          const is_signed_in = await isSignedIn();
          if (!is_signed_in) onSignedOut();
          return is_signed_in;
        },
      }),
    [store, onSignedOut],
  );
  return <StoreContext value={store}>{children}</StoreContext>;
}

const ALARMS_RECALLED = 50;

async function recallCleared(store: LiveStore): Promise<void> {
  try {
    store.hear({ type: "cleared", alarms: (await api.alarms(ALARMS_RECALLED)).alarms });
  } catch {
    // Recently cleared alarms are a comfort; the active ones came with the snapshot.
  }
}

/** Only a clear refusal ends the session; an outage does not. */
async function isSignedIn(): Promise<boolean> {
  try {
    await api.me();
    return true;
  } catch (cause) {
    return !(cause instanceof ApiError && cause.status === 401);
  }
}

function useStore(): LiveStore {
  const store = useContext(StoreContext);
  if (store === null) throw new Error("live hooks outside LiveProvider");
  return store;
}

export function useLive(): LiveState {
  const store = useStore();
  return useSyncExternalStore(store.watch, store.read);
}

/** Read the newest state when something happens, without following it. */
export function useReadLive(): () => LiveState {
  return useStore().read;
}

/** The server's time, ms, anew every `step_ms` and equal within a step. */
export function useNow(step_ms: number): number {
  const { read } = useStore();
  const [now, setNow] = useState(() => Date.now() + read().offset_ms);
  useEffect(() => {
    const tick = () => {
      const at = Date.now() + read().offset_ms;
      setNow(Math.floor(at / step_ms) * step_ms);
    };
    tick();
    const timer = setInterval(tick, Math.min(step_ms, 1000));
    return () => clearInterval(timer);
  }, [read, step_ms]);
  return now;
}

/** Lanes whose values come late now; the same set until that changes. */
export function useDelayedLanes(): ReadonlySet<Lane> {
  const { clock } = useLive();
  const names = [...delayedLanes(clock)].join(" ");
  return useMemo(() => new Set(names.split(" ").filter((name) => name !== "") as Lane[]), [names]);
}

/** The feed's trustworthiness, judged at least once a second. */
export function useFeed(): Feed {
  const store = useStore();
  const state = useLive();
  useNow(1000);
  return judgeFeed(state, Date.now(), store.started_at);
}
