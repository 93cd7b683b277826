// How the value of each quantity is written for people. Stored units are devices/quantities.py's.

import type { Language } from "../i18n/dictionaries";

interface QuantityLook {
  readonly ja: string;
  readonly en: string;
  readonly unit: string; // as shown
  readonly scale: number; // shown = stored × scale
  readonly digits: number;
  readonly is_flag?: boolean;
}

function look(ja: string, en: string, unit: string, digits: number, scale = 1): QuantityLook {
  return { ja, en, unit, digits, scale };
}

function flag(ja: string, en: string): QuantityLook {
  return { ja, en, unit: "", digits: 0, scale: 1, is_flag: true };
}

const QUANTITIES: Readonly<Record<string, QuantityLook>> = {
  "water.distance": look("水面までの距離", "Distance to water", "m", 2),
  "water.level": look("水位", "Water level", "m", 2),
  "flood.depth": look("浸水深", "Flood depth", "m", 2),
  "paddy.depth": look("水深", "Paddy depth", "mm", 0, 1000),
  "water.flow": look("流量", "Flow", "m³/s", 3),
  "water.total": look("積算水量", "Total volume", "m³", 1),
  "water.reverseTotal": look("逆流積算", "Reverse volume", "m³", 1),
  "water.pressure": look("水圧", "Pressure", "kPa", 0, 0.001),
  "flood.detected": flag("浸水検知", "Water detected"),
  "water.leak": flag("漏水", "Leak"),
  "contact.open": flag("接点開", "Contact open"),
  "trap.triggered": flag("わな作動", "Trap sprung"),
  "valve.open": flag("弁開", "Valve open"),
  tamper: flag("いたずら検知", "Tamper"),
  "rain.intensity": look("雨の強さ", "Rain intensity", "mm/h", 1),
  "rain.cumulative": look("積算雨量", "Rain total", "mm", 1),
  "position.latitude": look("緯度", "Latitude", "°", 5),
  "position.longitude": look("経度", "Longitude", "°", 5),
  "battery.voltage": look("電池電圧", "Battery", "V", 2),
  "battery.level": look("電池残量", "Battery", "%", 0),
  "radio.rssi": look("電波強度", "Signal (RSSI)", "dBm", 0),
  "radio.snr": look("電波 SNR", "Signal (SNR)", "dB", 1),
  "gate.position": look("開度", "Gate position", "%", 0),
  "air.temperature": look("気温", "Air temperature", "°C", 1),
  "soil.temperature": look("地温", "Soil temperature", "°C", 1),
  "water.temperature": look("水温", "Water temperature", "°C", 1),
  "animal.temperature": look("体温", "Body temperature", "°C", 2),
  "air.relativeHumidity": look("湿度", "Humidity", "%", 0),
  "soil.moisture": look("土壌水分", "Soil moisture", "%", 1),
  "soil.ec": look("土壌 EC", "Soil EC", "S/m", 3),
  "water.ec": look("水 EC", "Water EC", "S/m", 3),
  "air.pressure": look("気圧", "Air pressure", "hPa", 1),
  "air.co2": look("CO₂", "CO₂", "ppm", 0),
  "light.intensity": look("照度", "Light", "lx", 0),
  "tilt.angle": look("傾き", "Tilt", "rad", 3),
  "pulse.total": look("積算パルス", "Pulses", "", 0),
  "wind.speed": look("風速", "Wind speed", "m/s", 1),
  "wind.direction": look("風向", "Wind direction", "°", 0),
  "disk.free": look("ディスクの空き", "Free disk", "GiB", 1, 1 / 1024),
  "disk.lowWater": look("低水位線÷空き容量", "Low-water mark / free", "", 2),
  "journal.size": look("ジャーナル", "Journal", "MiB", 0),
  "broker.away": look("ブローカーに接続できない時間", "Without broker for", "s", 0),
  "broker.connections": look("ブローカーの接続数", "Broker connections", "", 0),
  "broker.messagesQueued": look("ブローカーの待ち行列", "Broker queue", "", 0),
  "broker.bytesQueued": look("待ち行列の量", "Broker queue size", "MiB", 1),
  "broker.messagesDropped": look("破棄（1分間）", "Dropped in a minute", "", 0),
  "broker.publishesDenied": look("拒否（1分間・推定）", "Denied in a minute (estimate)", "", 0),
  "broker.sessionsLost": look("失われたセッション（1分間）", "Sessions lost in a minute", "", 0),
  "broker.sessionsTakenOver": look("奪われた接続（1分間）", "Taken over in a minute", "", 0),
  "intake.lag": look("取り込みの遅れ", "Intake lag", "s", 1),
  "intake.rejected": look("読めないメッセージ（1分間）", "Rejected in a minute", "", 0),
  "alerts.lag": look("判定の遅れ", "Alarm lag", "s", 1),
  "store.lag": look("保存の遅れ", "Store lag", "s", 1),
  "feed.age": look("気象庁の最終取得から", "Since JMA was read", "s", 0),
};

const MINUS = "−";

export function quantityName(quantity: string, language: Language): string {
  return QUANTITIES[quantity]?.[language] ?? quantity;
}

export function isFlag(quantity: string | null): boolean {
  return quantity !== null && QUANTITIES[quantity]?.is_flag === true;
}

export function unitOf(quantity: string | null): string {
  return quantity === null ? "" : (QUANTITIES[quantity]?.unit ?? "");
}

/** Stored value → number in the unit shown. */
export function shown(quantity: string | null, value: number): number {
  return value * (quantity === null ? 1 : (QUANTITIES[quantity]?.scale ?? 1));
}

/** The number alone, with a true minus sign and the quantity's digits. */
export function figure(quantity: string | null, value: number, signed = false): string {
  const digits = quantity === null ? 2 : (QUANTITIES[quantity]?.digits ?? 2);
  const text = Math.abs(shown(quantity, value)).toFixed(digits);
  if (value < 0 && Number(text) !== 0) return MINUS + text;
  return signed && Number(text) !== 0 ? `+${text}` : text;
}

/** A number that is in the unit shown already, with its digits and unit: "3.42 m". */
export function shownFigure(quantity: string, value: number): string {
  return figureWithUnit(quantity, value / shown(quantity, 1));
}

/** "3.42 m". */
export function figureWithUnit(quantity: string | null, value: number): string {
  const unit = unitOf(quantity);
  return unit === "" ? figure(quantity, value) : `${figure(quantity, value)} ${unit}`;
}

const SUSPECT_BITS = 2 | 4 | 8 | 16; // range, spike, stuck, datum
export const CLOCK_BIT = 1;
export const EXERCISE_BIT = 32;

/** A suspect reading is shown, marked, and never joined to the curve. */
export function isSuspect(quality: number): boolean {
  return (quality & SUSPECT_BITS) !== 0;
}
