import type { LatestValue, Station } from "../api/types";
import { CLOCK_BIT, EXERCISE_BIT, figureWithUnit, isFlag, isSuspect, quantityName } from "../domain/quantities";
import { MINUTE, timeOrDate } from "../domain/time";
import type { Dictionary } from "../i18n/dictionaries";
import { useSpeech } from "../i18n/language";
import { useNow } from "../live/store";

/** Everything the station has sent last, with its time and what is wrong with it. */
export function ValueTable({ station }: { readonly station: Station }) {
  const { t, language } = useSpeech();
  const now = useNow(MINUTE);
  const values = Object.entries(station.latest);
  if (values.length === 0) return null;
  return (
    <section className="values">
      <h3>{t.all_values}</h3>
      <table>
        <tbody>
          {values.map(([quantity, latest]) => (
            <tr key={quantity}>
              <th scope="row">{quantityName(quantity, language)}</th>
              <td className="number">{isFlag(quantity) ? (latest.value === 0 ? t.no : t.yes) : figureWithUnit(quantity, latest.value)}</td>
              <td className="number">{timeOrDate(latest.measured_at, now)}</td>
              <td>{qualityWords(t, latest).map((word) => <span key={word} className="flag flag-doubt">{word}</span>)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

function qualityWords(t: Dictionary, { quality }: LatestValue): readonly string[] {
  return [
    ...(isSuspect(quality) ? [t.quality_suspect] : []),
    ...((quality & CLOCK_BIT) !== 0 ? [t.quality_clock] : []),
    ...((quality & EXERCISE_BIT) !== 0 ? [t.quality_exercise] : []),
  ];
}
