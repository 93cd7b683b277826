// Which station is open: kept in the address, so that a link, a reload and "back" all work.

import { useCallback, useEffect, useState } from "react";

const PREFIX = "#station=";

function named(): string | null {
  const { hash } = window.location;
  return hash.startsWith(PREFIX) ? decodeURIComponent(hash.slice(PREFIX.length)) : null;
}

/** The name of the open station, and how to open another (null closes). */
export function useSelection(): readonly [string | null, (name: string | null) => void] {
  const [name, setName] = useState(named);
  useEffect(() => {
    const follow = () => setName(named());
    window.addEventListener("hashchange", follow);
    return () => window.removeEventListener("hashchange", follow);
  }, []);
  const choose = useCallback((chosen: string | null) => {
    if (chosen !== null) {
      window.location.hash = PREFIX + encodeURIComponent(chosen);
      return;
    }
    if (named() === null) return;
    history.pushState(null, "", window.location.pathname + window.location.search);
    setName(null);
  }, []);
  return [name, choose];
}
