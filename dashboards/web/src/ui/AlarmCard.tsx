import { useEffect, useId, useState, type FormEvent } from "react";
import { api, ApiError } from "../api/client";
import type { Alarm, Role, Station } from "../api/types";
import { alarmPeak } from "../domain/figures";
import { takesCharge } from "../domain/roles";
import { alarmState } from "../domain/states";
import { useSpeech } from "../i18n/language";
import { alarmWord } from "../i18n/words";
import { AlarmFlags, AlarmTimes } from "./AlarmList";
import { StateMark } from "./StateMark";
import { AlarmRecord } from "./Timeline";

interface AlarmCardProps {
  readonly alarm: Alarm;
  readonly station: Station;
  readonly role: Role;
}

export function AlarmCard({ alarm, station, role }: AlarmCardProps) {
  const { t } = useSpeech();
  const is_open = alarm.state === "active" && alarm.acknowledged_at === null;
  const may_acknowledge = takesCharge(role);
  const peak = alarmPeak(alarm, station);
  return (
    <section className="card" data-testid={`card-${alarm.id}`} data-level={alarm.level} data-state={alarm.state} data-open={is_open}>
      <h3 className="card-title">
        <StateMark state={alarmState(alarm)} size={24} />
        {alarmWord(t, alarm, station.kind)}
        {is_open && may_acknowledge && <span className="badge-open">{t.unacknowledged}</span>}
      </h3>
      <p className="card-times">
        <AlarmTimes alarm={alarm} />
        {peak !== null && <span className="card-peak" data-testid="peak">{t.peak} <span className="figure">{peak}</span></span>}
        {alarm.is_verified && alarm.rule_kind !== "silence" && <span className="flag">{t.verified}</span>}
      </p>
      <AlarmFlags alarm={alarm} />
      {alarm.acknowledge_comment !== null && alarm.acknowledge_comment !== "" && (
        <blockquote className="card-comment">{alarm.acknowledge_comment}</blockquote>
      )}
      {is_open && may_acknowledge && <AcknowledgeForm alarm={alarm} />}
      <AlarmRecord alarm={alarm} station={station} role={role} />
    </section>
  );
}

type Sending = "idle" | "sending" | "accepted" | "failed" | "forbidden";

const GIVE_UP_MS = 10_000;

function AcknowledgeForm({ alarm }: { readonly alarm: Alarm }) {
  const { t } = useSpeech();
  const [sending, setSending] = useState<Sending>("idle");
  const field = useId();

  // Accepted is not done: if the alarm has not changed by then, the button comes back.
  useEffect(() => {
    if (sending !== "accepted") return;
    const timer = setTimeout(() => setSending("failed"), GIVE_UP_MS);
    return () => clearTimeout(timer);
  }, [sending]);

  async function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const comment = String(new FormData(event.currentTarget).get("comment") ?? "").trim();
    setSending("sending");
    try {
      await api.acknowledge(alarm.id, comment);
      setSending("accepted");
    } catch (cause) {
      setSending(cause instanceof ApiError && cause.status === 403 ? "forbidden" : "failed");
    }
  }

  const is_busy = sending === "sending" || sending === "accepted";
  return (
    <form className="acknowledge" onSubmit={(event) => void submit(event)}>
      <label htmlFor={field}>{t.acknowledge_comment}</label>
      <input id={field} name="comment" maxLength={500} autoComplete="off" placeholder={t.acknowledge_comment_hint} />
      <button type="submit" className="button button-strong" data-testid="acknowledge" disabled={is_busy}>
        {sending === "sending" ? t.acknowledge_sending : t.acknowledge}
      </button>
      <p role="status" className="acknowledge-note" data-failed={sending === "failed" || sending === "forbidden"}>
        {sending === "accepted" && t.acknowledge_waiting}
        {sending === "failed" && t.acknowledge_failed}
        {sending === "forbidden" && t.acknowledge_forbidden}
      </p>
    </form>
  );
}
