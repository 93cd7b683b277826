// What happened and who was told, in the order of time: the proof for afterwards.

import { useEffect, useState } from "react";
import { api } from "../api/client";
import type { Alarm, AlarmDetail, Delivery, Role, Station } from "../api/types";
import { seesWhoWasTold } from "../domain/roles";
import { toldTo } from "../domain/told";
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

interface AlarmRecordProps {
  readonly alarm: Alarm;
  readonly station: Station;
  readonly role: Role;
}

/** Whom it was told in one line, and the whole record behind it; both keep up to date. */
export function AlarmRecord({ alarm, station, role }: AlarmRecordProps) {
  const { t } = useSpeech();
  const { detail, has_failed } = useAlarmDetail(alarm);
  return (
    <div className="timeline">
      {has_failed && <p className="card-failed" role="status">{t.told_failed}</p>}
      {detail !== null && seesWhoWasTold(role) && <ToldLine deliveries={detail.deliveries} />}
      {detail !== null && (
        <details data-testid="timeline">
          <summary>{seesWhoWasTold(role) ? t.told : t.record}</summary>
          <Timeline alarm={alarm} detail={detail} station={station} />
        </details>
      )}
    </div>
  );
}

const NAMED = 3;

/** The first thing that somebody who was woken wants to know: who knows of it already. */
function ToldLine({ deliveries }: { readonly deliveries: readonly Delivery[] }) {
  const { t } = useSpeech();
  const { reached, failed, waiting, is_logged } = toldTo(deliveries);
  const others = Math.max(reached.length - NAMED, 0);
  return (
    <p className="card-told" data-testid="told">
      {reached.length > 0 && <span>{t.told_reached(reached.slice(0, NAMED).join(t.comma), others)}</span>}
      {reached.length === 0 && <span>{is_logged ? t.told_log_only : t.told_none}</span>}
      {waiting > 0 && <span>{t.told_waiting(waiting)}</span>}
      {failed > 0 && <strong>{t.told_failures(failed)}</strong>}
    </p>
  );
}

function Timeline({ alarm, detail, station }: TimelineProps) {
  const { t } = useSpeech();
  const now = useNow(MINUTE);
  const entries = [...steps(detail, station, t), ...told(detail.deliveries, t), ...known(alarm, t)].toSorted(
    (a, b) => (a.at ?? Infinity) - (b.at ?? Infinity),
  );
  return (
      <ol>
        {entries.map(({ key, at, what, title, note }) => (
          <li key={key} data-what={what}>
            <span className="timeline-time">{at === null ? "—" : when(at, now)}</span>
            <span className="timeline-title">{title}</span>
            {note !== "" && <span className="timeline-note">{note}</span>}
          </li>
        ))}
      </ol>
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
    note: [
      has_value && transition.value !== null ? figureWithUnit(station.main, transition.value) : "",
      transition.withdrawn_at !== null ? t.step_withdrawn : transition.is_correction ? t.step_late : "",
    ].filter((word) => word !== "").join("・"),
  }));
}

function told(deliveries: readonly Delivery[], t: Dictionary): Entry[] {
  return deliveries.map((delivery, index) => ({
    key: `told ${index}`,
    at: delivery.sent_at,
    what: delivery.state === "sent" ? "told" : delivery.state === "failed" ? "failed" : "waiting",
    title: [delivery.person, channelWord(t, delivery.channel), deliveryWord(t, delivery.state)].filter((word) => word !== null).join("　"),
    note: [
      delivery.address === delivery.channel ? "" : delivery.address,
      delivery.attempts > 1 ? t.attempts(delivery.attempts) : "",
      delivery.is_withdrawal ? t.delivery_withdrawal : "",
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

const ASK_AGAIN_MS = 4000;

/** The record of an alarm: asked anew when the alarm changes and while a delivery is on its way. */
function useAlarmDetail(alarm: Alarm) {
  const [detail, setDetail] = useState<AlarmDetail | null>(null);
  const [has_failed, setFailed] = useState(false);
  const [round, setRound] = useState(0);
  useEffect(() => {
    const stop = new AbortController();
    let timer = 0;
    api.alarm(alarm.id, stop.signal).then(
      (found) => {
        setDetail(found);
        setFailed(false);
        const is_settled = found.deliveries.length > 0 && found.deliveries.every(({ state }) => state === "sent" || state === "failed");
        if (!is_settled && found.state === "active") timer = window.setTimeout(() => setRound((n) => n + 1), ASK_AGAIN_MS);
      },
      () => {
        if (stop.signal.aborted) return;
        setFailed(true);
        timer = window.setTimeout(() => setRound((n) => n + 1), ASK_AGAIN_MS);
      },
    );
    return () => {
      stop.abort();
      clearTimeout(timer);
    };
  }, [alarm.id, alarm.changed_at, alarm.acknowledged_at, alarm.opened_at, alarm.state, alarm.level, round]);
  return { detail, has_failed };
}
