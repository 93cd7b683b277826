import { useEffect, useRef, useState, type FormEvent } from "react";
import { api, ApiError } from "../api/client";
import type { Me } from "../api/types";
import type { Dictionary } from "../i18n/dictionaries";
import { useSpeech } from "../i18n/language";
import { Brand, LanguageSwitch } from "./Brand";

interface LoginProps {
  readonly onEntered: (me: Me) => void;
  readonly notice: string | null;
}

export function Login({ onEntered, notice }: LoginProps) {
  const { t } = useSpeech();
  const [refusal, setRefusal] = useState<string | null>(null);
  const [is_busy, setBusy] = useState(false);
  const name_field = useRef<HTMLInputElement>(null);

  useEffect(() => {
    document.title = `${t.login_title} | ${t.brand}`;
  }, [t]);

  async function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const fields = new FormData(event.currentTarget);
    const name = String(fields.get("name") ?? "").trim();
    const password = String(fields.get("password") ?? "");
    if (name === "" || password === "") return setRefusal(t.login_empty);
    setBusy(true);
    setRefusal(null);
    try {
      onEntered(await api.login(name, password));
    } catch (cause) {
      setRefusal(refusalWord(t, cause));
      setBusy(false);
      name_field.current?.focus();
    }
  }

  return (
    <main className="door">
      <div className="door-top"><Brand /><LanguageSwitch /></div>
      <form className="door-form" onSubmit={(event) => void submit(event)} noValidate aria-busy={is_busy}>
        <h1>{t.login_title}</h1>
        {notice !== null && <p className="door-notice" role="status">{notice}</p>}
        <label>
          <span>{t.login_name}</span>
          <input ref={name_field} name="name" autoComplete="username" autoCapitalize="none" autoFocus required />
        </label>
        <label>
          <span>{t.login_password}</span>
          <input name="password" type="password" autoComplete="current-password" required />
        </label>
        <p className="door-refusal" role="alert">{refusal}</p>
        <button type="submit" className="button button-strong" disabled={is_busy}>
          {is_busy ? t.login_busy : t.login_submit}
        </button>
      </form>
    </main>
  );
}

function refusalWord(t: Dictionary, cause: unknown): string {
  if (!(cause instanceof ApiError) || cause.status === 0 || cause.status >= 500) return t.login_unreachable;
  return cause.status === 429 ? t.login_limited : t.login_refused;
}
