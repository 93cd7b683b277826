// What a device needs to come in, shown once: QR code to scan or print, and the same as text.

import type { Credential } from "../api/waiting";
import { useSpeech } from "../i18n/language";

export function AccessCard({ credential }: { readonly credential: Credential }) {
  const { t } = useSpeech();
  const picture = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(credential.qr_svg)}`;
  return (
    <div className="access" data-testid="access-card">
      <p><strong>{t.access_once}</strong></p>
      <img src={picture} alt={t.access_qr(credential.device)} width={220} height={220} />
      <dl className="waiting-said">
        <div><dt>{t.access_broker}</dt><dd><code>{credential.host}:{credential.port}</code> {credential.is_tls ? "TLS" : t.access_no_tls}</dd></div>
        <div><dt>{t.access_user}</dt><dd><code>{credential.username}</code></dd></div>
        <div><dt>{t.access_password}</dt><dd><code data-testid="access-password">{credential.password}</code></dd></div>
        <div><dt>{t.access_topic}</dt><dd><code>{credential.topics["up"]}</code></dd></div>
      </dl>
      <button type="button" className="button" onClick={() => window.print()}>{t.access_print}</button>
    </div>
  );
}
