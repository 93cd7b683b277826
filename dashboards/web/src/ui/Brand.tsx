import { useSpeech } from "../i18n/language";

export function Brand({ city }: { readonly city?: string | undefined }) {
  const { t } = useSpeech();
  return (
    <div className="brand">
      <svg viewBox="0 0 32 32" aria-hidden="true" className="brand-sign">
        <path d="M4 14 16 5l12 9" />
        <path className="brand-water" d="M5 20c3.5-3 7.5-3 11 0s7.5 3 11 0M5 26c3.5-3 7.5-3 11 0s7.5 3 11 0" />
      </svg>
      <span className="brand-names">
        <span className="brand-name">{t.brand} <small>{t.brand_sub}</small></span>
        {city !== undefined && <span className="brand-city">{city}</span>}
      </span>
    </div>
  );
}

export function LanguageSwitch() {
  const { t, language, choose } = useSpeech();
  const other = language === "ja" ? "en" : "ja";
  return (
    <button type="button" className="button-quiet" lang={other} onClick={() => choose(other)}>
      {t.switch_language}
    </button>
  );
}
