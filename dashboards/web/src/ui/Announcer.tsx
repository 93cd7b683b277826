// Speaks new alarms to screen readers: politely up to level 2, at once from level 3.

import { useEffect, useRef, useState } from "react";
import type { Alarm } from "../api/types";
import { newlyUrgent } from "../domain/order";
import { useSpeech } from "../i18n/language";
import { alarmWord, placeName } from "../i18n/words";
import { useLive } from "../live/store";

const ASSERTIVE_FROM_LEVEL = 3;

export function Announcer() {
  const { t, language } = useSpeech();
  const { has_snapshot, alarms, stations } = useLive();
  const told = useRef<Map<string, number> | null>(null);
  const [polite, setPolite] = useState("");
  const [assertive, setAssertive] = useState("");

  useEffect(() => {
    if (!has_snapshot) return;
    if (told.current === null) {
      told.current = new Map([...alarms.values()].map((alarm) => [alarm.id, alarm.level]));
      return;
    }
    const fresh = newlyUrgent(told.current, alarms.values());
    for (const alarm of alarms.values()) told.current.set(alarm.id, alarm.level);
    const say = (some: readonly Alarm[]) => {
      const first = some.toSorted((a, b) => b.level - a.level)[0];
      if (first === undefined) return null;
      const word = alarmWord(t, first, stations.get(first.device)?.kind);
      const place = placeName({ ...first, name: first.device_name }, language);
      return t.announce_new(some.length, t.announce_alarm(word, place));
    };
    const loud = say(fresh.filter((alarm) => alarm.level >= ASSERTIVE_FROM_LEVEL));
    const quiet = say(fresh.filter((alarm) => alarm.level < ASSERTIVE_FROM_LEVEL));
    if (loud !== null) setAssertive(loud);
    if (quiet !== null) setPolite(quiet);
  }, [has_snapshot, alarms, stations, t, language]);

  return (
    <div className="only-spoken">
      <div aria-live="polite" data-testid="announce-polite">{polite}</div>
      <div aria-live="assertive" data-testid="announce-assertive">{assertive}</div>
    </div>
  );
}
