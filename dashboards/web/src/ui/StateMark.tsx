import type { StationState } from "../api/types";
import { lookOf } from "../domain/states";

interface StateMarkProps {
  readonly state: StationState;
  readonly level?: number; // of a station: a silent one keeps its last level
  readonly size?: number;
}

/** The mark of a state, the same as on the map. Words always stand beside it. */
export function StateMark({ state, level = 0, size = 24 }: StateMarkProps) {
  const look = lookOf({ state, level });
  const edge = look.edge === "#ffffff" ? "rgba(16, 36, 42, .5)" : look.edge;
  return (
    <svg className="mark" width={`${size / 15}rem`} height={`${size / 15}rem`} viewBox="-1.5 -1.5 27 27" aria-hidden="true">
      <path d={look.outline} fill={look.fill} stroke={edge} strokeWidth={look.is_last_level === true ? 3.6 : 1.6} strokeLinejoin="round" />
      {look.sign === "bar" && <rect x="5.5" y="9.8" width="13" height="4.4" fill={look.ink} />}
      {look.sign !== "" && look.sign !== "bar" && (
        <text x="12" y={look.sign_y + 4.6} textAnchor="middle" fontSize={look.sign.length > 1 ? 11 : 13} fontWeight="700" fill={look.ink}>
          {look.sign}
        </text>
      )}
    </svg>
  );
}
