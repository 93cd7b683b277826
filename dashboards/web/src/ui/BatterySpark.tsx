import { useId } from "react";
import type { HealthRow } from "../api/health";
import { sparkOf } from "../domain/spark";
import { useSpeech } from "../i18n/language";

interface BatterySparkProps {
  readonly row: Pick<HealthRow, "battery" | "battery_course" | "battery_words">;
  readonly width?: number;
  readonly height?: number;
}

/** The battery's level so far, the level at which it is empty, and the fan of when that will be. */
export function BatterySpark({ row, width = 180, height = 44 }: BatterySparkProps) {
  const { language } = useSpeech();
  const clip = useId();
  const spark = sparkOf(row, width, height);
  if (spark === null) return null;
  return (
    <svg className="spark" viewBox={`0 0 ${width} ${height}`} width={width} height={height} role="img" aria-label={row.battery_words[language]}>
      <clipPath id={clip}><rect width={width} height={height} /></clipPath>
      <g clipPath={`url(#${clip})`}>
        <line className="spark-end" x1="0" x2={width} y1={spark.end_y} y2={spark.end_y} />
        {spark.fan !== null && <polygon className="spark-fan" points={spark.fan} />}
        {spark.likely !== null && <polyline className="spark-likely" points={`${spark.now.join(",")} ${spark.likely.join(",")}`} />}
        <polyline className="spark-course" points={spark.course} />
        <circle className="spark-now" cx={spark.now[0]} cy={spark.now[1]} r="2.6" />
      </g>
    </svg>
  );
}
