import { memo, useMemo } from "react";
import type { Alarm, Role, Station } from "../api/types";
import { alarmValue } from "../domain/figures";
import { isInstallation } from "../domain/installation";
import { groupAlarms } from "../domain/order";
import { isWithoutFloods, takesCharge } from "../domain/roles";
import { alarmState } from "../domain/states";
import { duration, MINUTE, timeOrDate } from "../domain/time";
import { useSpeech } from "../i18n/language";
import { alarmWord, noStations, placeName } from "../i18n/words";
import { useLive, useNow } from "../live/store";
import { arrow } from "../map/features";
import { StateMark } from "./StateMark";

interface AlarmListProps {
  readonly selected: number | null;
  readonly is_stale: boolean;
  readonly role: Role;
  readonly onChoose: (station: number) => void;
}

export function AlarmList({ selected, is_stale, role, onChoose }: AlarmListProps) {
  const { t } = useSpeech();
  const { alarms, stations } = useLive();
  const groups = useMemo(() => groupAlarms(alarms.values()), [alarms]);
  const is_empty = groups.unacknowledged.length + groups.acknowledged.length === 0;
  const field = useMemo(() => [...stations.values()].filter((station) => !isInstallation(station)), [stations]);
  const silent = useMemo(() => field.filter(({ state }) => state === "unknown").length, [field]);
  const group = (title: string, some: readonly Alarm[], name: string) =>
    some.length > 0 && (
      <section className={`alarm-group alarm-group-${name}`} aria-label={title}>
        <h3 className={name === "open" ? "only-spoken" : undefined}>{title} <span className="count">{some.length}</span></h3>
        <ul>
          {some.map((alarm) => (
            <AlarmRow key={alarm.id} alarm={alarm} is_selected={alarm.device === selected} onChoose={onChoose} />
          ))}
        </ul>
      </section>
    );
  return (
    <section className="alarms" id="alarms" tabIndex={-1} aria-labelledby="alarms-title">
      <h2 id="alarms-title">
        {t.alarms}
        {groups.unacknowledged.length > 0 && (
          <span className="badge-open">
            {takesCharge(role) ? t.alarms_open(groups.unacknowledged.length) : t.alarms_active(groups.unacknowledged.length + groups.acknowledged.length)}
          </span>
        )}
      </h2>
      <div className="alarms-body">
        {is_empty && (
          <div className="alarms-none">
            <p>{is_stale ? t.alarms_none_stale : t.alarms_none}</p>
            {!is_stale && field.length > 0 && <p>{t.alarms_none_watched(field.length, silent)}</p>}
            {field.length === 0 && <p>{noStations(t, role)}</p>}
          </div>
        )}
        {group(takesCharge(role) ? t.alarms_unacknowledged : t.alarms, groups.unacknowledged, "open")}
        {group(t.alarms_acknowledged, groups.acknowledged, "known")}
        {group(t.alarms_cleared, groups.cleared, "cleared")}
        {isWithoutFloods(role) && <p className="alarms-scope">{t.alarms_without_floods}</p>}
      </div>
    </section>
  );
}

interface AlarmRowProps {
  readonly alarm: Alarm;
  readonly is_selected: boolean;
  readonly onChoose: (station: number) => void;
}

const AlarmRow = memo(function AlarmRow({ alarm, is_selected, onChoose }: AlarmRowProps) {
  const { t, language } = useSpeech();
  const { stations } = useLive();
  const station = stations.get(alarm.device);
  const value = alarmValue(alarm, station);
  return (
    <li>
      <button
        type="button"
        className="alarm"
        data-testid={`alarm-${alarm.id}`}
        data-level={alarm.level}
        data-state={alarm.state}
        data-acknowledged={alarm.acknowledged_at !== null}
        aria-current={is_selected}
        onClick={() => onChoose(alarm.device)}
      >
        <StateMark state={alarmState(alarm)} size={30} />
        <span className="alarm-main">
          <span className="alarm-place">{placeName({ ...alarm, name: alarm.device_name }, language)}</span>
          <span className="alarm-line">
            <span className="alarm-stage">{alarmWord(t, alarm, station?.kind)}</span>
            {value !== null && <span className="figure">{value}{isMoving(alarm, station) && arrow(station.rise_per_h)}</span>}
          </span>
          <span className="alarm-line">
            <AlarmTimes alarm={alarm} />
          </span>
          {isSilentNow(alarm, station) && <span className="flags"><span className="flag flag-doubt">{t.alarm_silent_now}</span></span>}
          <AlarmFlags alarm={alarm} />
        </span>
      </button>
    </li>
  );
});

/** Where the direction of the water is that of the value shown. */
function isMoving(alarm: Alarm, station: Station | undefined): station is Station {
  return alarm.state === "active" && alarm.rule_kind === "stages" && station !== undefined && station.state !== "unknown";
}

/** An alarm that is on while its station is silent: what is shown may be over, or far worse. */
function isSilentNow(alarm: Alarm, station: Station | undefined): boolean {
  return alarm.state === "active" && alarm.rule_kind !== "silence" && station?.state === "unknown";
}

export function AlarmTimes({ alarm }: { readonly alarm: Alarm }) {
  const { t } = useSpeech();
  const now = useNow(MINUTE);
  const until = alarm.cleared_at ?? now;
  return (
    <span className="alarm-times">
      {t.alarm_opened(timeOrDate(alarm.opened_at, now), duration(Math.max(until - alarm.opened_at, MINUTE), t))}
      {alarm.cleared_at !== null && `　${t.alarm_cleared(timeOrDate(alarm.cleared_at, now))}`}
    </span>
  );
}

export function AlarmFlags({ alarm }: { readonly alarm: Alarm }) {
  const { t } = useSpeech();
  const now = useNow(MINUTE);
  return (
    <span className="flags">
      {alarm.is_exercise && <span className="flag flag-exercise">{t.exercise}</span>}
      {!alarm.is_verified && <span className="flag flag-doubt">{t.unverified}</span>}
      {alarm.is_historic && <span className="flag">{t.historic}</span>}
      {alarm.withdrawn_at !== null && <span className="flag">{t.withdrawn}</span>}
      {alarm.acknowledged_at !== null && (
        <span className="flag flag-known">
          {alarm.acknowledged_by === null
            ? t.acknowledged_when(timeOrDate(alarm.acknowledged_at, now))
            : t.acknowledged_by(alarm.acknowledged_by, timeOrDate(alarm.acknowledged_at, now))}
        </span>
      )}
    </span>
  );
}
