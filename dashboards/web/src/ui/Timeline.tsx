// What happened and who was told, in the order of time: the proof for afterwards.

import type { Alarm, AlarmDetail, Delivery, Station } from "../api/types";
import { figureWithUnit, isFlag } from "../domain/quantities";
import { clockTime, isSameDay, MINUTE, monthDay } from "../domain/time";
import { useSpeech } from "../i18n/language";
import type { Dictionary } from "../i18n/dictionaries";
import { channelWord, deliveryWord, stageWord } from "../i18n/words";
import { useNow } from "../live/store";

interface TimelineProps {
  readonly alarm: Alarm;
  readonly detail: AlarmDetail;
  readonly station: Station;
}

interface Entry {
  readonly key: string;
  readonly at: number | null; // null: not yet
  readonly what: "step" | "told" | "failed" | "waiting" | "acknowledged";
  readonly title: string;
  readonly note: string;
}

export function Timeline({ alarm, detail, station }: TimelineProps) {
  const { t } = useSpeech();
  const now = useNow(MINUTE);
  const entries = [...steps(detail, station, t), ...told(detail.deliveries, t), ...known(alarm, t)].toSorted(
    (a, b) => (a.at ?? Infinity) - (b.at ?? Infinity),
  );
  return (
    <div className="timeline" data-testid="timeline">
      <h4>{t.told}</h4>
      <ol>
        {entries.map(({ key, at, what, title, note }) => (
          <li key={key} data-what={what}>
            <span className="timeline-time">{at === null ? "—" : when(at, now)}</span>
            <span className="timeline-title">{title}</span>
            {note !== "" && <span className="timeline-note">{note}</span>}
          </li>
        ))}
      </ol>
      {detail.deliveries.length === 0 && <p className="timeline-none">{t.told_none}</p>}
    </div>
  );
}

function when(at: number, now: number): string {
  return isSameDay(at, now) ? clockTime(at) : `${monthDay(at)} ${clockTime(at)}`;
}

function steps(detail: AlarmDetail, station: Station, t: Dictionary): Entry[] {
  const word = (stage: string) => (detail.rule_kind === "silence" && stage !== "normal" ? t.silence : stageWord(t, stage, station.kind));
  const has_value = detail.rule_kind === "stages" && !isFlag(station.main);
  return detail.transitions.map((transition, index) => ({
    key: `step ${index}`,
    at: transition.measured_at,
    what: "step",
    title: t.step(word(transition.from_stage), word(transition.to_stage)),
    note: has_value && transition.value !== null ? figureWithUnit(station.main, transition.value) : "",
  }));
}

function told(deliveries: readonly Delivery[], t: Dictionary): Entry[] {
  return deliveries.map((delivery, index) => ({
    key: `told ${index}`,
    at: delivery.sent_at,
    what: delivery.state === "sent" ? "told" : delivery.state === "failed" ? "failed" : "waiting",
    title: `${delivery.person ?? delivery.address}　${channelWord(t, delivery.channel)}　${deliveryWord(t, delivery.state)}`,
    note: [
      delivery.person === null ? "" : delivery.address,
      delivery.attempts > 1 ? t.attempts(delivery.attempts) : "",
      delivery.maybe_repeated ? t.delivery_repeated : "",
      delivery.state === "sent" ? "" : (delivery.last_error ?? ""),
    ].filter((word) => word !== "").join("・"),
  }));
}

function known(alarm: Alarm, t: Dictionary): Entry[] {
  if (alarm.acknowledged_at === null) return [];
  return [{
    key: "acknowledged",
    at: alarm.acknowledged_at,
    what: "acknowledged",
    title: t.acknowledged_by(alarm.acknowledged_by ?? "", "").trim(),
    note: alarm.acknowledge_comment ?? "",
  }];
}
