// Devices that were heard and that nobody has registered: look, say what it is, accept or refuse.

import { useCallback, useEffect, useState } from "react";
import { api } from "../api/client";
import type { Accepted, Candidate, CandidateList, CandidateState } from "../api/waiting";
import { SECOND, ago } from "../domain/time";
import { quantityName } from "../domain/quantities";
import { useSpeech } from "../i18n/language";
import { kindWord } from "../i18n/words";
import { useNow } from "../live/store";
import { AcceptForm } from "./AcceptForm";
import { AccessCard } from "./AccessCard";
import { EnrolmentKey } from "./EnrolmentKey";

const ASK_AGAIN_MS = 5 * SECOND;

export function WaitingPage() {
  const { t } = useSpeech();
  const [state, setState] = useState<CandidateState>("waiting");
  const [text, setText] = useState("");
  const [open, setOpen] = useState<number | null>(null);
  const [done, setDone] = useState<Accepted | null>(null);
  const { list, has_failed, look } = useWaiting(state, text);

  const accepted = useCallback((outcome: Accepted) => {
    setDone(outcome);
    setOpen(null);
    look();
  }, [look]);

  return (
    <section className="waiting" aria-labelledby="waiting-title" data-testid="waiting">
      <header className="health-top">
        <h2 id="waiting-title">{t.waiting_title}</h2>
        <div className="health-filters">
          <div className="switch" role="group" aria-label={t.waiting_which}>
            {(["waiting", "accepted", "refused"] as const).map((one) => (
              <button key={one} type="button" aria-pressed={state === one} data-testid={`waiting-${one}`} onClick={() => { setState(one); setOpen(null); }}>
                {t[`waiting_${one}`]} {list !== null && <span className="figure">{list.counts[one]}</span>}
              </button>
            ))}
          </div>
          <input type="search" className="search" value={text} placeholder={t.waiting_search} aria-label={t.waiting_search} onChange={(event) => setText(event.target.value)} />
        </div>
      </header>
      <div className="health-body" tabIndex={0} role="region" aria-label={t.waiting_title}>
        {done !== null && <Done outcome={done} onClose={() => setDone(null)} />}
        {has_failed && <p className="health-note" role="alert">{t.waiting_failed}</p>}
        {list === null && !has_failed && <p className="health-note" role="status">{t.loading}</p>}
        {list?.candidates.length === 0 && <p className="health-note">{state === "waiting" && text === "" ? t.waiting_nobody : t.waiting_no_match}</p>}
        <ol className="health-rows">
          {list?.candidates.map((one) => (
            <Row
              key={one.id} candidate={one} is_open={open === one.id}
              onOpen={() => setOpen(open === one.id ? null : one.id)} onAccepted={accepted} onChanged={look}
            />
          ))}
        </ol>
        {state === "waiting" && <EnrolmentKey />}
      </div>
    </section>
  );
}

interface RowProps {
  readonly candidate: Candidate;
  readonly is_open: boolean;
  readonly onOpen: () => void;
  readonly onAccepted: (outcome: Accepted) => void;
  readonly onChanged: () => void;
}

function Row({ candidate, is_open, onOpen, onAccepted, onChanged }: RowProps) {
  const { t, language } = useSpeech();
  const now = useNow(SECOND);
  const [has_failed, setFailed] = useState(false);

  async function decide(call: (id: number) => Promise<unknown>) {
    setFailed(false);
    try {
      await call(candidate.id);
      onChanged();
    } catch {
      setFailed(true);
    }
  }

  return (
    <li className="waiting-row" data-testid={`candidate-${candidate.identity}`}>
      <div className="waiting-who">
        <strong>{candidate.label || candidate.name}</strong>
        <small>{t[`identity_${candidate.identity_kind}`]} <code>{candidate.identity}</code></small>
        {candidate.fingerprint !== "" && <small>{t.waiting_fingerprint} <code>{candidate.fingerprint}</code></small>}
        <Notes candidate={candidate} />
      </div>
      <dl className="waiting-said">
        <Said word={t.waiting_way} value={way(candidate, t)} />
        <Said word={t.waiting_made} value={[candidate.brand, candidate.model].filter((one) => one !== "").join(" ")} />
        <Said word={t.column_kind} value={candidate.kind === null ? "" : t.waiting_guess(kindWord(t, candidate.kind))} />
        <Said word={t.waiting_measures} value={[...candidate.quantities.map((one) => quantityName(one, language)), ...candidate.fields.filter((one) => !candidate.quantities.includes(one))].join(t.comma)} />
        <Said word={t.waiting_heard} value={t.waiting_heard_how(candidate.messages, ago(candidate.last_heard_at, now, t))} />
        {candidate.device !== null && <Said word={t.waiting_accepted_as} value={candidate.device} />}
        {candidate.decided_by !== null && candidate.decided_at !== null && <Said word={t.waiting_decided} value={`${candidate.decided_by}${t.comma}${ago(candidate.decided_at, now, t)}`} />}
      </dl>
      <div className="waiting-do">
        {candidate.state === "waiting" && (
          <>
            <button type="button" className="button button-strong" aria-expanded={is_open} data-testid="open-accept" onClick={onOpen}>{is_open ? t.close : t.waiting_accept}</button>
            <button type="button" className="button" data-testid="refuse" onClick={() => void decide(api.refuse)}>{t.waiting_refuse}</button>
          </>
        )}
        {candidate.state === "refused" && <button type="button" className="button" data-testid="take-back" onClick={() => void decide(api.takeBack)}>{t.waiting_take_back}</button>}
        {has_failed && <p role="alert" className="card-failed">{t.waiting_not_done}</p>}
      </div>
      {is_open && <AcceptForm candidate={candidate} onAccepted={onAccepted} />}
      {is_open && (
        <details className="waiting-sample">
          <summary>{t.waiting_sample}</summary>
          <p><code>{candidate.topic}</code></p>
          <pre>{candidate.sample}</pre>
        </details>
      )}
    </li>
  );
}

function Notes({ candidate }: { readonly candidate: Candidate }) {
  const { t } = useSpeech();
  return (
    <>
      {candidate.is_expected && <p className="flag flag-known">✓ {t.waiting_expected(candidate.present ?? "")}</p>}
      {!candidate.is_expected && candidate.present !== null && <p className="flag flag-doubt">⚠ {t.waiting_present(candidate.present)}</p>}
      {candidate.rivals > 0 && <p className="flag flag-doubt flag-known">⚠ {t.waiting_rivals(candidate.rivals)}</p>}
    </>
  );
}

function Said({ word, value }: { readonly word: string; readonly value: string }) {
  return value === "" ? null : <div><dt>{word}</dt><dd>{value}</dd></div>;
}

function way(candidate: Candidate, t: ReturnType<typeof useSpeech>["t"]): string {
  if (candidate.source.startsWith("gateway/")) return t.waiting_by_gateway(candidate.source.slice("gateway/".length));
  if (candidate.source === "enrolment") return t.waiting_by_enrolment;
  return candidate.source === "topic" ? t.waiting_by_broker : t.waiting_by_network(candidate.source.split("/")[1] ?? "");
}

function Done({ outcome, onClose }: { readonly outcome: Accepted; readonly onClose: () => void }) {
  const { t } = useSpeech();
  return (
    <div className="waiting-done" role="status" data-testid="waiting-done">
      <p><strong>✓ {t.waiting_done(outcome.device, kindWord(t, outcome.kind))}</strong></p>
      {outcome.resubmitted > 0 && <p>{t.waiting_done_past(outcome.resubmitted)}</p>}
      <p><a href={`#station=${encodeURIComponent(outcome.device)}`}>{t.waiting_show}</a></p>
      {outcome.credential !== null && <AccessCard credential={outcome.credential} />}
      <button type="button" className="button" onClick={onClose}>{t.close}</button>
    </div>
  );
}

function useWaiting(state: CandidateState, text: string) {
  const [list, setList] = useState<CandidateList | null>(null);
  const [has_failed, setFailed] = useState(false);
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    const ending = new AbortController();
    const ask = () => api.waiting(state, text, ending.signal).then(
      (found) => { setList(found); setFailed(false); },
      () => { if (!ending.signal.aborted) setFailed(true); },
    );
    void ask();
    const timer = setInterval(() => void ask(), ASK_AGAIN_MS);
    return () => { ending.abort(); clearInterval(timer); };
  }, [state, text, turn]);
  const look = useCallback(() => setTurn((n) => n + 1), []);
  return { list, has_failed, look };
}
