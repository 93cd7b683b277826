import { useSpeech } from "../i18n/language";

/** How soon: a shape and a word beside the colour. */
export function SeverityMark({ severity }: { readonly severity: number }) {
  const { t } = useSpeech();
  const word = severity >= 3 ? t.health_now : severity === 2 ? t.health_plan : severity === 1 ? t.health_note : t.health_well;
  return (
    <span className="severity" data-severity={severity}>
      <svg width="16" height="16" viewBox="0 0 16 16" aria-hidden="true">
        {severity >= 3 && <path d="M8 1l7 13H1z" fill="currentColor" />}
        {severity === 2 && <rect x="2.5" y="2.5" width="11" height="11" fill="currentColor" transform="rotate(45 8 8)" />}
        {severity === 1 && <circle cx="8" cy="8" r="5.5" fill="none" stroke="currentColor" strokeWidth="2.5" />}
        {severity <= 0 && <path d="M2 8.5l4 4 8-9" fill="none" stroke="currentColor" strokeWidth="2.6" />}
      </svg>
      {word}
    </span>
  );
}
