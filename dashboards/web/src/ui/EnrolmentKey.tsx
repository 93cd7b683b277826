// The key with which new devices may ask to be admitted: off, or on since when; a new one, or none.

import { useCallback, useEffect, useState } from "react";
import { api } from "../api/client";
import { MINUTE, ago } from "../domain/time";
import { useSpeech } from "../i18n/language";
import { useNow } from "../live/store";

export function EnrolmentKey() {
  const { t } = useSpeech();
  const now = useNow(MINUTE);
  const [made_at, setMadeAt] = useState<number | null | undefined>(undefined);
  const [key, setKey] = useState<string | null>(null);
  const [has_failed, setFailed] = useState(false);
  const look = useCallback(() => api.enrolment().then((said) => setMadeAt(said.made_at), () => setFailed(true)), []);
  useEffect(() => void look(), [look]);

  async function change(call: () => Promise<string | null>) {
    setFailed(false);
    try {
      setKey(await call());
    } catch {
      setFailed(true);
    }
    await look();
  }

  if (made_at === undefined) return null;
  return (
    <details className="enrolment" data-testid="enrolment">
      <summary>{t.enrolment_title}: {made_at === null ? t.enrolment_off : t.enrolment_on(ago(made_at, now, t))}</summary>
      <p>{t.enrolment_what}</p>
      {key !== null && <p className="access"><strong>{t.access_once}</strong> <code data-testid="enrolment-key">{key}</code></p>}
      <p className="waiting-do">
        <button type="button" className="button" data-testid="enrolment-new" onClick={() => void change(async () => (await api.enrolmentKey()).password)}>{made_at === null ? t.enrolment_begin : t.enrolment_renew}</button>
        {made_at !== null && <button type="button" className="button" data-testid="enrolment-end" onClick={() => void change(async () => { await api.revokeEnrolment(); return null; })}>{t.enrolment_end}</button>}
      </p>
      {has_failed && <p role="alert" className="card-failed">{t.waiting_not_done}</p>}
    </details>
  );
}
