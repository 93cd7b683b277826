import { describe, expect, it } from "vitest";
import { placeTag } from "./tags";

const room = { width: 800, height: 600, buttons: { width: 60, height: 150 } };
const phone = { ...room, width: 360 };

describe("a tag", () => {
  it("stands at the right of its mark while there is room", () => {
    expect(placeTag({ x: 300, y: 300 }, 200, 20, room)).toEqual({ anchor: "left", offset: [20, 0] });
  });

  it("changes to the left before the map's edge, and before its buttons", () => {
    expect(placeTag({ x: 700, y: 300 }, 200, 20, room)).toEqual({ anchor: "right", offset: [-20, 0] });
    expect(placeTag({ x: 560, y: 100 }, 200, 20, room).anchor).toBe("right");
    expect(placeTag({ x: 560, y: 300 }, 200, 20, room).anchor).toBe("left");
  });

  it("goes below and into view where neither side has room, and above at the lower edge", () => {
    expect(placeTag({ x: 200, y: 300 }, 260, 20, phone)).toEqual({ anchor: "center", offset: [0, 28] });
    expect(placeTag({ x: 250, y: 300 }, 260, 20, phone)).toEqual({ anchor: "center", offset: [-24, 28] });
    expect(placeTag({ x: 200, y: 590 }, 260, 20, phone).offset[1]).toBeLessThan(0);
  });
});
