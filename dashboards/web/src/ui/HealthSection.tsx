import { useEffect, useState } from "react";
import { api } from "../api/client";
import type { HealthRow } from "../api/health";
import type { Me, Station } from "../api/types";
import { isInstallation } from "../domain/installation";
import { duration, SECOND } from "../domain/time";
import { useSpeech } from "../i18n/language";
import { BatterySpark } from "./BatterySpark";
import { FindingList } from "./HealthPage";

/** How the device of an open station is; nothing for the public and for what was not looked at. */
export function HealthSection({ station, me }: { readonly station: Station; readonly me: Me }) {
  const { t, language } = useSpeech();
  const row = useHealthOf(station, me);
  if (row === null) return null;
  return (
    <section className="health-section" data-testid="station-health">
      <div className="course-top">
        <h3>{t.health_section}</h3>
        <a href="#health">{t.health_see_all}</a>
      </div>
      {row.findings.length > 0 ? <FindingList row={row} /> : <p>{t.health_nothing}</p>}
      <div className="health-battery">
        <BatterySpark row={row} width={320} height={64} />
        <small>{row.battery_words[language]}</small>
      </div>
      <Figures row={row} />
    </section>
  );
}

function Figures({ row }: { readonly row: HealthRow }) {
  const { t } = useSpeech();
  const { link, reporting, clock, firmware } = row;
  const margin = link.margin === null ? null : t[`health_margin_${link.margin}`];
  const measured = [
    link.rssi === null ? null : `${Math.round(link.rssi)} dBm`,
    link.snr === null ? null : `${Math.round(link.snr)} dB`,
  ].filter((word) => word !== null);
  const rows: readonly (readonly [string, string])[] = [
    ...(margin === null ? [] : [[t.health_link, [margin, ...measured].join("・")] as const]),
    ...(link.gateways.length === 0 ? [] : [[t.health_gateways, link.gateways.map(({ gateway, share }) => `${gateway} ${Math.round(share * 100)} %`).join(t.comma)] as const]),
    ...(reporting.share === null ? [] : [[t.health_came, `${(reporting.share * 100).toFixed(reporting.share > 0.995 ? 0 : 1)} %`] as const]),
    ...(reporting.longest_gap_s === null ? [] : [[t.health_longest_gap, duration(reporting.longest_gap_s * SECOND, t)] as const]),
    ...(reporting.lost === 0 ? [] : [[t.health_lost, String(reporting.lost)] as const]),
    ...(clock.late_s === null ? [] : [[t.health_clock, t.health_late(clock.late_s.toFixed(0))] as const]),
    ...(firmware.version === null ? [] : [[t.health_firmware, firmware.version] as const]),
  ];
  return (
    <table className="health-figures">
      <tbody>
        {rows.map(([name, value]) => <tr key={name}><th scope="row">{name}</th><td>{value}</td></tr>)}
      </tbody>
    </table>
  );
}

function useHealthOf(station: Station, me: Me): HealthRow | null {
  const [row, setRow] = useState<HealthRow | null>(null);
  const { name } = station;
  const is_shown = me.role !== "public" && !isInstallation(station);
  useEffect(() => {
    if (!is_shown) return;
    const stop = new AbortController();
    api.healthOf(name, stop.signal).then(setRow, () => undefined); // the panel stands without it
    return () => stop.abort();
  }, [name, is_shown]);
  return row;
}
