import { expect, test } from "vitest";
import type { Candidate } from "../api/waiting";
import { acceptance, isName, position } from "./acceptance";

const CANDIDATE = { present: null } as Candidate;

function form(fields: Record<string, string>): FormData {
  const made = new FormData();
  for (const [name, value] of Object.entries(fields)) made.set(name, value);
  return made;
}

test("a position is what people paste from a map, full-width digits too", () => {
  expect(position("31.8135, 130.3129")).toEqual([31.8135, 130.3129]);
  expect(position("３１．８１３５、１３０．３１２９")).toEqual([31.8135, 130.3129]);
  expect(position("31.8 130.3")).toEqual([31.8, 130.3]);
  expect(position("  ")).toBeNull();
  for (const wrong of ["31.8", "130.3, 31.8, 1", "91, 0", "0, 181", "here"]) expect(position(wrong)).toBeUndefined();
});

test("a name fits a topic", () => {
  expect(isName("uf-014")).toBe(true);
  for (const wrong of ["", "uf 14", "駅前", "a/b", "x".repeat(65)]) expect(isName(wrong)).toBe(false);
});

test("a new device needs a name and a kind, a replacement only the name", () => {
  expect(acceptance(CANDIDATE, form({ name: "a b", kind: "trap" }), false)).toBe("name");
  expect(acceptance(CANDIDATE, form({ name: "trap-1", kind: "" }), false)).toBe("kind");
  expect(acceptance(CANDIDATE, form({ name: "trap-1", kind: "", as: "unit", since: "heard" }), false)).toMatchObject({
    name: "trap-1", replaces: true, since_first_heard: true,
  });
  expect(acceptance(CANDIDATE, form({ name: "t", kind: "trap", position: "x" }), false)).toBe("position");
});

test("what the registry knows already is accepted as that device", () => {
  const known = { present: "uf-1" } as Candidate;
  expect(acceptance(known, form({ name: "uf-1" }), true)).toMatchObject({ replaces: true, is_sure: true });
});
