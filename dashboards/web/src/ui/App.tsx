// Who is there: nobody yet, somebody signed in, or an outage at the door.

import { useCallback, useEffect, useState } from "react";
import { api, ApiError } from "../api/client";
import type { Me } from "../api/types";
import { useSpeech } from "../i18n/language";
import { LiveProvider } from "../live/store";
import { Login } from "./Login";
import { Workspace } from "./Workspace";

type Session =
  | { readonly kind: "asking" }
  | { readonly kind: "unreachable" }
  | { readonly kind: "out"; readonly has_expired: boolean }
  | { readonly kind: "in"; readonly me: Me };

const ASK_AGAIN_MS = 5000;

export function App() {
  const { t, suggest } = useSpeech();
  const [session, setSession] = useState<Session>({ kind: "asking" });

  const enter = useCallback(
    (me: Me) => {
      suggest(me.language);
      setSession({ kind: "in", me });
    },
    [suggest],
  );
  const ask = useCallback(async () => {
    try {
      enter(await api.me());
    } catch (cause) {
      const is_refused = cause instanceof ApiError && (cause.status === 401 || cause.status === 403);
      setSession(is_refused ? { kind: "out", has_expired: false } : { kind: "unreachable" });
    }
  }, [enter]);
  const expire = useCallback(() => setSession({ kind: "out", has_expired: true }), []);

  useEffect(() => {
    if (session.kind === "asking") void ask();
    if (session.kind !== "unreachable") return;
    const timer = setTimeout(() => void ask(), ASK_AGAIN_MS);
    return () => clearTimeout(timer);
  }, [session, ask]);

  switch (session.kind) {
    case "asking":
      return <p className="door-note" role="status">{t.loading}</p>;
    case "unreachable":
      return (
        <div className="door-note" role="alert">
          <p>{t.login_unreachable}</p>
          <button type="button" className="button" onClick={() => void ask()}>{t.retry}</button>
        </div>
      );
    case "out":
      return <Login onEntered={enter} notice={session.has_expired ? t.signed_out : null} />;
    case "in":
      return (
        <LiveProvider onSignedOut={expire}>
          <Workspace me={session.me} onLeft={() => setSession({ kind: "out", has_expired: false })} />
        </LiveProvider>
      );
  }
}
