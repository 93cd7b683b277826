import { useEffect, useMemo, useRef, useState } from "react";
import { api } from "../api/client";
import type { Me, SequenceGap, Station } from "../api/types";
import { sortAlarmsOf } from "../domain/order";
import { MINUTE, timeOrDate } from "../domain/time";
import { useSpeech } from "../i18n/language";
import { kindWord, placeName } from "../i18n/words";
import { useLive, useNow } from "../live/store";
import { AlarmCard } from "./AlarmCard";
import { ConsumptionSection } from "./ConsumptionSection";
import { CourseSection } from "./CourseSection";
import { HealthSection } from "./HealthSection";
import { Readout } from "./Readout";
import { ValueTable } from "./ValueTable";

interface StationPanelProps {
  readonly station: Station;
  readonly me: Me;
  readonly onClose: () => void;
}

export function StationPanel({ station, me, onClose }: StationPanelProps) {
  const { t, language } = useSpeech();
  const { alarms } = useLive();
  const title = useRef<HTMLHeadingElement>(null);
  const of_station = useMemo(() => sortAlarmsOf(station.id, alarms.values()), [station.id, alarms]);

  useEffect(() => title.current?.focus(), []);
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.key === "Escape") onClose();
    };
    window.addEventListener("keydown", onKey);
    return () => window.removeEventListener("keydown", onKey);
  }, [onClose]);

  return (
    <aside className="panel" aria-label={t.panel} data-testid="panel" data-state={station.state}>
      <header className="panel-top">
        <div>
          <p className="panel-kind">{kindWord(t, station.kind)}{station.area !== "" && `・${station.area}`}</p>
          <h2 ref={title} tabIndex={-1}>{placeName(station, language)}</h2>
        </div>
        <button type="button" className="button-close" onClick={onClose} aria-label={t.close} title={t.close}>
          <svg viewBox="0 0 20 20" width="18" height="18" aria-hidden="true">
            <path d="M4 4l12 12M16 4L4 16" stroke="currentColor" strokeWidth="2.2" strokeLinecap="round" />
          </svg>
        </button>
      </header>
      <div className="panel-body">
        <Readout station={station} />
        {of_station.map((alarm) => (
          <AlarmCard key={alarm.id} alarm={alarm} station={station} role={me.role} />
        ))}
        <CourseSection station={station} />
        <ConsumptionSection station={station} />
        <ValueTable station={station} />
        <LostData station={station} />
        <HealthSection station={station} me={me} />
      </div>
    </aside>
  );
}

function LostData({ station }: { readonly station: Station }) {
  const { t } = useSpeech();
  const now = useNow(MINUTE);
  const [gaps, setGaps] = useState<readonly SequenceGap[]>([]);
  useEffect(() => {
    const stop = new AbortController();
    api.station(station.id, stop.signal).then(
      (detail) => setGaps(detail.gaps),
      () => undefined, // the panel stands without; the live state above is what counts
    );
    return () => stop.abort();
  }, [station.id]);
  if (gaps.length === 0) return null;
  return (
    <section className="lost">
      <h3>{t.lost_title}</h3>
      <ul>
        {gaps.map((gap) => (
          <li key={gap.first}>{t.lost_data(gap.last - gap.first + 1, timeOrDate(gap.at, now))}</li>
        ))}
      </ul>
    </section>
  );
}
