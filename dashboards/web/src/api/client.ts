// Calls to the HTTP API. Knows addresses and errors, never what a page does with the answer.

import type { Acceptance, Accepted, CandidateList, CandidateState } from "./waiting";
import { healthQuery, type HealthFilter, type HealthList, type HealthRow } from "./health";
import type { Weather } from "./weather";
import type { Alarm, AlarmDetail, ConsumptionInterval, ConsumptionStep, MapConfig, Me, Samples, StationDetail } from "./types";

/** The server refused or could not be reached; `status` is 0 when nothing answered. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
  ) {
    super(message);
    this.name = "ApiError";
  }
}

const TIMEOUT_MS = 15_000;

async function call<T>(path: string, init: RequestInit = {}): Promise<T> {
  const headers = new Headers(init.headers);
  if (init.method === "POST") {
    headers.set("X-Satomori", "1");
    headers.set("Content-Type", "application/json");
  }
  const timeout = AbortSignal.timeout(TIMEOUT_MS);
  const signal = init.signal ? AbortSignal.any([init.signal, timeout]) : timeout;
  let response: Response;
  try {
    response = await fetch(path, { ...init, headers, signal, credentials: "same-origin" });
  } catch (cause) {
    if (init.signal?.aborted) throw cause;
    throw new ApiError(0, "unreachable", String(cause));
  }
  if (!response.ok) throw await refusal(response);
  if (response.status === 204) return undefined as T;
  return (await response.json()) as T;
}

async function refusal(response: Response): Promise<ApiError> {
  try {
    const body = (await response.json()) as { error?: { code?: string; message?: string } };
    return new ApiError(response.status, body.error?.code ?? "error", body.error?.message ?? "");
  } catch {
    return new ApiError(response.status, "error", response.statusText);
  }
}

function post<T>(path: string, body: unknown): Promise<T> {
  return call<T>(path, { method: "POST", body: JSON.stringify(body) });
}

function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  return call<T>(path, signal ? { signal } : {});
}

export const api = {
  me: () => get<Me>("/api/me"),
  login: (name: string, password: string) => post<Me>("/api/login", { name, password }),
  logout: () => post<unknown>("/api/logout", {}),
  map: () => get<MapConfig>("/api/map"),
  weather: (signal: AbortSignal) => get<Weather>("/api/warnings", signal),
  basemap: () => get<GeoJSON.FeatureCollection>("/api/basemap"),
  alarms: (limit: number) =>
    get<{ readonly alarms: readonly Alarm[] }>(`/api/alarms?state=all&limit=${limit}`),
  station: (id: number, signal: AbortSignal) => get<StationDetail>(`/api/stations/${id}`, signal),
  alarm: (id: string, signal: AbortSignal) =>
    get<AlarmDetail>(`/api/alarms/${encodeURIComponent(id)}`, signal),
  acknowledge: (id: string, comment: string) =>
    post<unknown>(
      `/api/alarms/${encodeURIComponent(id)}/acknowledge`,
      comment === "" ? {} : { comment },
    ),
  consumption: (name: string, step: ConsumptionStep, from: number, to: number, signal: AbortSignal) =>
    get<{ readonly intervals: readonly ConsumptionInterval[] }>(
      `/api/stations/${encodeURIComponent(name)}/consumption?from=${from}&to=${to}&step=${step}`,
      signal,
    ),
  health: (filter: HealthFilter, limit: number, signal: AbortSignal) =>
    get<HealthList>(`/api/device-health?${healthQuery(filter, limit)}`, signal),
  waiting: (state: CandidateState, text: string, signal: AbortSignal) =>
    get<CandidateList>(`/api/waiting?state=${state}&q=${encodeURIComponent(text)}`, signal),
  accept: (id: number, said: Acceptance) => post<Accepted>(`/api/waiting/${id}/accept`, said),
  refuse: (id: number) => post<unknown>(`/api/waiting/${id}/refuse`, {}),
  takeBack: (id: number) => post<unknown>(`/api/waiting/${id}/take-back`, {}),
  enrolment: () => get<{ readonly made_at: number | null }>("/api/enrolment"),
  enrolmentKey: () => post<{ readonly password: string }>("/api/enrolment/key", {}),
  revokeEnrolment: () => post<unknown>("/api/enrolment/revoke", {}),
  healthOf: (name: string, signal: AbortSignal) =>
    get<HealthRow>(`/api/device-health/${encodeURIComponent(name)}`, signal),
  samples: (series: number, start_at: number, end_at: number, signal: AbortSignal) =>
    get<Samples>(
      `/api/series/${series}?start_at=${start_at}&end_at=${end_at}&max_points=800`,
      signal,
    ),
};
