import { describe, expect, it } from "vitest";
import { figureWithUnit, shownFigure } from "./quantities";

describe("a figure", () => {
  it("reads the same from the stored value and from the value shown", () => {
    expect(figureWithUnit("paddy.depth", 0.092)).toBe("92 mm");
    expect(shownFigure("paddy.depth", 92)).toBe("92 mm");
    expect(shownFigure("water.level", 2.61)).toBe("2.61 m");
    expect(shownFigure("air.temperature", 14.94)).toBe("14.9 °C");
  });
});
