// What a device is that is accepted: a new one, or the new unit of one there is.

import { useState, type FormEvent } from "react";
import { api, ApiError } from "../api/client";
import type { Accepted, Candidate } from "../api/waiting";
import { KINDS, acceptance, type Fault } from "../domain/acceptance";
import { isInstallation } from "../domain/installation";
import { timeOrDate } from "../domain/time";
import type { Dictionary } from "../i18n/dictionaries";
import { useSpeech } from "../i18n/language";
import { kindWord, placeName } from "../i18n/words";
import { useLive } from "../live/store";

interface AcceptFormProps {
  readonly candidate: Candidate;
  readonly onAccepted: (outcome: Accepted) => void;
}

export function AcceptForm({ candidate, onAccepted }: AcceptFormProps) {
  const { t } = useSpeech();
  const [as_unit, setAsUnit] = useState(false);
  const [is_sure, setSure] = useState(false);
  const [is_busy, setBusy] = useState(false);
  const [refusal, setRefusal] = useState<string | null>(null);
  const is_known = candidate.present !== null;

  async function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const said = acceptance(candidate, new FormData(event.currentTarget), is_sure);
    if (typeof said === "string") return setRefusal(faultWord(t, said));
    setBusy(true);
    setRefusal(null);
    try {
      onAccepted(await api.accept(candidate.id, said));
    } catch (cause) {
      setRefusal(refusalWord(t, cause));
      setBusy(false);
    }
  }

  return (
    <form className="accept" onSubmit={(event) => void submit(event)} noValidate aria-busy={is_busy} data-testid="accept-form">
      {!is_known && (
        <fieldset className="accept-as">
          <legend>{t.accept_as}</legend>
          <label><input type="radio" name="as" value="device" checked={!as_unit} onChange={() => setAsUnit(false)} /> {t.accept_as_device}</label>
          <label><input type="radio" name="as" value="unit" checked={as_unit} data-testid="as-unit" onChange={() => setAsUnit(true)} /> {t.accept_as_unit}</label>
        </fieldset>
      )}
      {is_known && <input type="hidden" name="name" value={candidate.present ?? ""} />}
      {!is_known && !as_unit && <NewDevice candidate={candidate} />}
      {!is_known && as_unit && <NewUnit candidate={candidate} />}
      {candidate.identity_kind === "dev_eui" && (
        <label><span>{t.accept_codec}</span><input name="codec" placeholder="dragino/ldds75" autoCapitalize="none" /><small>{t.accept_codec_hint}</small></label>
      )}
      {candidate.rivals > 0 && (
        <label className="accept-sure">
          <input type="checkbox" checked={is_sure} data-testid="is-sure" onChange={(event) => setSure(event.target.checked)} />
          <span>{t.accept_sure(candidate.fingerprint)}</span>
        </label>
      )}
      <p className="door-refusal" role="alert">{refusal}</p>
      <button type="submit" className="button button-strong" disabled={is_busy} data-testid="accept">{is_busy ? t.accept_busy : t.accept_submit}</button>
    </form>
  );
}

function NewDevice({ candidate }: { readonly candidate: Candidate }) {
  const { t } = useSpeech();
  const areas = useAreas();
  const place = candidate.latitude !== null && candidate.longitude !== null ? `${candidate.latitude}, ${candidate.longitude}` : "";
  return (
    <>
      <label><span>{t.accept_name}</span><input name="name" defaultValue={candidate.name} autoCapitalize="none" required maxLength={64} /><small>{t.accept_name_hint}</small></label>
      <label>
        <span>{t.column_kind}</span>
        <select name="kind" defaultValue={candidate.kind ?? ""} required>
          <option value="">{t.accept_choose}</option>
          {KINDS.map((kind) => <option key={kind} value={kind}>{kindWord(t, kind)}</option>)}
        </select>
      </label>
      <label><span>{t.accept_label}</span><input name="label" defaultValue={candidate.label} maxLength={200} placeholder={t.accept_label_hint} /></label>
      <label>
        <span>{t.column_area}</span><input name="area" list="waiting-areas" maxLength={200} />
        <datalist id="waiting-areas">{areas.map((area) => <option key={area} value={area} />)}</datalist>
      </label>
      <label><span>{t.accept_position}</span><input name="position" defaultValue={place} inputMode="text" placeholder="31.8135, 130.3129" /><small>{t.accept_position_hint}</small></label>
    </>
  );
}

function NewUnit({ candidate }: { readonly candidate: Candidate }) {
  const { t, language } = useSpeech();
  const live = useLive();
  const stations = [...live.stations.values()].filter((one) => !isInstallation(one)).sort((a, b) => a.name.localeCompare(b.name));
  return (
    <>
      <label>
        <span>{t.accept_device}</span>
        <input name="name" list="waiting-devices" autoCapitalize="none" required />
        <datalist id="waiting-devices">
          {stations.map((one) => <option key={one.id} value={one.name}>{placeName(one, language)}</option>)}
        </datalist>
        <small>{t.accept_device_hint}</small>
      </label>
      <fieldset className="accept-as">
        <legend>{t.accept_since}</legend>
        <label><input type="radio" name="since" value="now" defaultChecked /> {t.accept_since_now}</label>
        <label><input type="radio" name="since" value="heard" /> {t.accept_since_heard(timeOrDate(candidate.first_heard_at, Date.now()))}</label>
      </fieldset>
    </>
  );
}

function useAreas(): readonly string[] {
  const live = useLive();
  return [...new Set([...live.stations.values()].map((one) => one.area))].filter((one) => one !== "").sort();
}

function faultWord(t: Dictionary, fault: Fault): string {
  if (fault === "name") return t.accept_name_hint;
  return fault === "kind" ? t.accept_kind_missing : t.accept_position_hint;
}

function refusalWord(t: Dictionary, cause: unknown): string {
  if (!(cause instanceof ApiError) || cause.status === 0 || cause.status >= 500) return t.waiting_not_done;
  if (cause.code === "name_taken") return t.accept_name_taken;
  if (cause.code === "no_such_device") return t.accept_no_such_device;
  return cause.code === "contested" ? t.accept_contested : cause.message;
}
