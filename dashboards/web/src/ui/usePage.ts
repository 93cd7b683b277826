// Which page is open beside the map: kept in the address like the open station.

import { useCallback, useEffect, useState } from "react";

export type Page = "map" | "health" | "waiting";

function named(): Page {
  const { hash } = window.location;
  if (hash === "#waiting") return "waiting";
  return hash === "#health" ? "health" : "map";
}

/** The open page, and the way back to the map. */
export function usePage(): readonly [Page, () => void] {
  const [page, setPage] = useState(named);
  useEffect(() => {
    const follow = () => setPage(named());
    window.addEventListener("hashchange", follow);
    window.addEventListener("popstate", follow);
    return () => {
      window.removeEventListener("hashchange", follow);
      window.removeEventListener("popstate", follow);
    };
  }, []);
  const leave = useCallback(() => {
    if (named() === "map") return;
    history.pushState(null, "", window.location.pathname + window.location.search);
    setPage("map");
  }, []);
  return [page, leave];
}
