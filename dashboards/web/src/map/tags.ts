// Where a station's tag stands beside its mark, so that nothing of it lies outside the map.

export interface Room {
  readonly width: number; // of the map, px
  readonly height: number;
  /** The corner at the top right that the map's buttons take. */
  readonly buttons: { readonly width: number; readonly height: number };
}

export interface Spot {
  readonly x: number; // of the mark, px from the map's left top corner
  readonly y: number;
}

export interface Placing {
  readonly anchor: "left" | "right" | "center";
  readonly offset: readonly [number, number];
}

const AIR_PX = 4;

/** At the right of the mark; at its left where it would be cut; else below, pushed into view. */
export function placeTag(spot: Spot, tag_width: number, distance: number, room: Room): Placing {
  const right_edge = room.width - AIR_PX - (spot.y < room.buttons.height ? room.buttons.width : 0);
  if (spot.x + distance + tag_width <= right_edge) return { anchor: "left", offset: [distance, 0] };
  if (spot.x - distance - tag_width >= AIR_PX) return { anchor: "right", offset: [-distance, 0] };
  const half = tag_width / 2;
  const middle = Math.max(AIR_PX + half, Math.min(right_edge - half, spot.x));
  const is_low = spot.y + 2 * distance > room.height;
  return { anchor: "center", offset: [Math.round(middle - spot.x), is_low ? -1.4 * distance : 1.4 * distance] };
}
