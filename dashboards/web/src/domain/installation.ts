// The installation is a device among the others: it reports of itself. It stands nowhere in the field.

import type { Station } from "../api/types";

export function isInstallation(station: Pick<Station, "kind"> | undefined): boolean {
  return station?.kind === "satomori";
}
