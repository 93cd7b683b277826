import { useEffect } from "react";
import { api } from "../api/client";
import type { Me, Role } from "../api/types";
import { clockTime, dateWithWeekday, ago } from "../domain/time";
import { useSpeech } from "../i18n/language";
import { roleWord } from "../i18n/words";
import type { Feed } from "../live/faults";
import { newestReceived } from "../live/faults";
import { useLive, useNow } from "../live/store";
import { Brand, LanguageSwitch } from "./Brand";
import type { Page } from "./usePage";

interface HeaderProps {
  readonly me: Me;
  readonly feed: Feed;
  readonly city: string | undefined;
  readonly open_alarms: number;
  readonly onLeft: () => void;
  readonly page: Page | null; // null: there is only the map
  readonly onMap: () => void;
}

export function Header({ me, feed, city, open_alarms, onLeft, page, onMap }: HeaderProps) {
  const { t } = useSpeech();
  useEffect(() => {
    const prefix = feed.kind === "fault" ? `⚠ ${t.fault_short}` : open_alarms > 0 ? `(${open_alarms}) ${t.alarms}` : null;
    document.title = prefix === null ? `${t.brand} ${t.brand_sub}` : `${prefix} | ${t.brand}`;
  }, [t, feed.kind, open_alarms]);

  async function leave() {
    try {
      await api.logout();
    } finally {
      onLeft();
    }
  }

  return (
    <header className="header">
      <h1 className="only-spoken">{t.brand}{city !== undefined && ` ${city}`}</h1>
      <Brand city={city} />
      {page !== null && <Pages page={page} onMap={onMap} role={me.role} />}
      <Clock />
      <Freshness feed={feed} />
      <div className="header-person">
        <span className="header-name">{me.display_name}<small>{roleWord(t, me.role)}</small></span>
        <LanguageSwitch />
        <button type="button" className="button-quiet" onClick={() => void leave()}>{t.logout}</button>
      </div>
    </header>
  );
}

function Pages({ page, onMap, role }: { readonly page: Page; readonly onMap: () => void; readonly role: Role }) {
  const { t } = useSpeech();
  return (
    <nav className="pages" aria-label={t.pages}>
      <button type="button" aria-current={page === "map" ? "page" : undefined} onClick={onMap}>{t.page_map}</button>
      <a href="#health" aria-current={page === "health" ? "page" : undefined} data-testid="page-health">{t.health_title}</a>
      {role === "admin" && <a href="#waiting" aria-current={page === "waiting" ? "page" : undefined} data-testid="page-waiting">{t.waiting_title}</a>}
    </nav>
  );
}

function Clock() {
  const { t } = useSpeech();
  const now = useNow(1000);
  return (
    <time className="clock" dateTime={new Date(now).toISOString()}>
      <span className="clock-date">{dateWithWeekday(now, t)}</span>
      <span className="clock-time">{clockTime(now)}</span>
      <span className="clock-zone">{t.jst}</span>
    </time>
  );
}

function Freshness({ feed }: { readonly feed: Feed }) {
  const { t } = useSpeech();
  const { stations } = useLive();
  const now = useNow(1000);
  const newest = newestReceived(stations);
  const word = feed.kind === "ok" ? t.feed_ok : feed.kind === "fault" ? t.fault_short : t.feed_connecting;
  return (
    <div className="freshness" data-feed={feed.kind} data-testid="feed">
      <span className="freshness-word"><FeedSign feed={feed} />{word}</span>
      <span className="freshness-newest">
        {newest === null ? t.newest_data_none : t.newest_data(ago(newest, now, t))}
      </span>
    </div>
  );
}

function FeedSign({ feed }: { readonly feed: Feed }) {
  return (
    <svg width="12" height="12" viewBox="0 0 12 12" aria-hidden="true">
      {feed.kind === "fault"
        ? <path d="M1.5 1.5l9 9m0-9l-9 9" stroke="currentColor" strokeWidth="2.6" strokeLinecap="round" />
        : <circle cx="6" cy="6" r="4.6" fill={feed.kind === "ok" ? "currentColor" : "none"} stroke="currentColor" strokeWidth="2" />}
    </svg>
  );
}
