// Asks for JMA's warnings now and then; an answer that does not come leaves the last one, which ages.

import { useEffect, useState } from "react";
import { api } from "../api/client";
import type { Weather } from "../api/weather";

const ASK_EVERY_MS = 30_000;
const LOOK_EVERY_MS = 5_000;

export interface WeatherSeen {
  readonly weather: Weather;
  readonly now: number; // by the server's clock
}

export function useWeather(): WeatherSeen | null {
  const [seen, setSeen] = useState<{ readonly weather: Weather; readonly taken: number } | null>(null);
  const [clock, setClock] = useState(() => performance.now());

  useEffect(() => {
    const stop = new AbortController();
    const ask = async () => {
      try {
        const weather = await api.weather(stop.signal);
        setSeen({ weather, taken: performance.now() });
        setClock(performance.now());
      } catch {
        // the last answer stands, and says how old it is
      }
    };
    void ask();
    const asking = setInterval(() => void ask(), ASK_EVERY_MS);
    const looking = setInterval(() => setClock(performance.now()), LOOK_EVERY_MS);
    return () => {
      stop.abort();
      clearInterval(asking);
      clearInterval(looking);
    };
  }, []);

  return seen === null ? null : { weather: seen.weather, now: seen.weather.at + Math.max(0, clock - seen.taken) };
}
