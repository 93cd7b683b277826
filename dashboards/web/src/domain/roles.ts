// What a role's page is for. What a role may see is decided by the server alone.

import type { Role } from "../api/types";

/** People with fields, barns and traps: few stations, read as numbers, not watched for alarms. */
export function isFieldRole(role: Role): boolean {
  return role === "owner" || role === "agriculture";
}

/** Whose list of alarms leaves out the rivers and roads: an empty one says nothing of a flood. */
export function isWithoutFloods(role: Role): boolean {
  return isFieldRole(role);
}

/** The public sees alarms but has no part in who takes charge of them. */
export function takesCharge(role: Role): boolean {
  return role !== "public";
}

/** Works for the city: the server shows the others only what they were sent themselves. */
export function seesWhoWasTold(role: Role): boolean {
  return role !== "public" && role !== "owner";
}
