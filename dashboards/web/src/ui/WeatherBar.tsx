// What the Japan Meteorological Agency has in force, quoted with source and time. It advises nobody:
// and where it is not known what is in force, it says just that.

import type { Bulletin, Rain, Weather } from "../api/weather";
import { hourMinute, timeOrDate } from "../domain/time";
import { mostRain, standingOf, together, type Standing, type WarningGroup } from "../domain/weather";
import type { Dictionary, Language } from "../i18n/dictionaries";
import { useSpeech } from "../i18n/language";
import { useWeather } from "./useWeather";

const JMA_PAGE = "https://www.jma.go.jp/bosai/warning/";

export function WeatherBar() {
  const { t, language } = useSpeech();
  const seen = useWeather();
  if (seen === null || !seen.weather.is_configured) return null;
  const { weather, now } = seen;
  const standing = standingOf(weather, now);
  const warnings = together(weather.warnings);
  const rain = mostRain(weather.rain, now);
  return (
    <section className="weather" aria-label={t.weather_title} data-testid="weather" data-standing={standing}>
      <p className="weather-word" role="status">{wordsOf(standing, weather, now, t)}</p>
      {(warnings.length > 0 || weather.bulletins.length > 0 || rain.length > 0) && (
        <ul className="weather-list" data-testid="weather-list">
          {weather.bulletins.map((one) => <BulletinItem key={one.url} bulletin={one} now={now} />)}
          {warnings.map((group) => (
            <WarningItem key={`${group.warning.group}${group.warning.code}${group.warning.is_exercise}${group.warning.reported_at}`} group={group} now={now} />
          ))}
          {rain.map((one) => (
            <li key={one.quantity} className="weather-rain">
              {t.weather_rain(quantityWord(one, language), `${one.value_mm} mm`, timeOrDate(one.from_at, now), hourMinute(one.to_at))}
            </li>
          ))}
        </ul>
      )}
      <p className="weather-source">
        {sourceOf(weather, now, t)}{" "}
        <a href={JMA_PAGE} target="_blank" rel="noreferrer">{t.weather_link}</a>
      </p>
    </section>
  );
}

function wordsOf(standing: Standing, weather: Weather, now: number, t: Dictionary): string {
  switch (standing) {
    case "never":
      return t.weather_never;
    case "stale":
      return t.weather_stale(timeOrDate(weather.as_of ?? 0, now));
    case "partly":
      return t.weather_partly(weather.areas.filter((a) => !a.is_known).map((a) => a.name ?? a.code).join("・"));
    case "calm":
      return t.weather_calm(weather.areas.map((a) => a.name ?? a.code).join("・"));
    case "warned":
      return t.weather_warned;
  }
}

function sourceOf(weather: Weather, now: number, t: Dictionary): string {
  return weather.as_of === null ? t.weather_source : t.weather_source_at(timeOrDate(weather.as_of, now));
}

function WarningItem({ group, now }: { readonly group: WarningGroup; readonly now: number }) {
  const { t, language } = useSpeech();
  const { warning, areas } = group;
  return (
    <li className="weather-warning" data-level={warning.level ?? "unknown"} data-exercise={warning.is_exercise}>
      {warning.is_exercise && <span className="flag flag-exercise">{t.weather_exercise}</span>}
      <LevelShape level={warning.level} />
      <strong>{language === "en" && warning.name_en ? warning.name_en : warning.name}</strong>
      <span className="weather-where">
        {areas.join("・")} {t.weather_reported(timeOrDate(warning.reported_at, now))}
        {warning.is_expired && ` ${t.weather_expired}`}
      </span>
    </li>
  );
}

function BulletinItem({ bulletin, now }: { readonly bulletin: Bulletin; readonly now: number }) {
  const { t, language } = useSpeech();
  const levels = bulletin.tags.map((tag) => tag.level ?? 0);
  const named = bulletin.tags.map((tag) => (language === "en" && tag.name_en ? tag.name_en : tag.name));
  const measured = bulletin.rain.map((one) => `${one.place || one.area_name} ${one.words || `${one.value_mm} mm`}`);
  return (
    <li className="weather-warning" data-level={Math.max(0, ...levels) || "unknown"} data-exercise={bulletin.is_exercise} title={bulletin.headline}>
      {bulletin.is_exercise && <span className="flag flag-exercise">{t.weather_exercise}</span>}
      <LevelShape level={Math.max(0, ...levels) || null} />
      <strong>{[...new Set(named)].join("・") || bulletin.title}</strong>
      <span className="weather-where">
        {measured.join("・") || [...new Set(bulletin.tags.map((tag) => tag.area_name))].join("・")} {t.weather_reported(timeOrDate(bulletin.reported_at, now))}
      </span>
    </li>
  );
}

function quantityWord(rain: Rain, language: Language): string {
  return language === "en" && rain.quantity_en ? rain.quantity_en : rain.quantity;
}

const SHAPES: Readonly<Record<number, string>> = {
  5: "M7 1h10l6 6v10l-6 6H7l-6-6V7Z",
  4: "M12 1 23 12 12 23 1 12Z",
  3: "M12 2 23 22H1Z",
  2: "M12 2a10 10 0 1 0 .01 0Z",
};

/** Octagon, diamond, triangle, circle: colour never stands alone, and the name is beside it. */
function LevelShape({ level }: { readonly level: number | null }) {
  const outline = SHAPES[level ?? 0] ?? "M3 3h18v18H3Z";
  return (
    <svg className="weather-shape" viewBox="0 0 24 24" aria-hidden="true" data-level={level ?? "unknown"}>
      <path d={outline} strokeWidth="1.6" strokeLinejoin="round" />
    </svg>
  );
}
