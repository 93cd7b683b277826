import { describe, expect, it } from "vitest";
import type { Delivery } from "../api/types";
import { toldTo } from "./told";

const delivery = (person: string | null, state: string, channel = "mail"): Delivery => ({
  person, channel, address: "", state, attempts: 1, sent_at: null, maybe_repeated: false, last_error: null, is_withdrawal: false,
});

describe("whom an alarm was told", () => {
  it("names a person once, however often and by whatever channel", () => {
    const { reached } = toldTo([delivery("花子", "sent"), delivery("花子", "sent", "webhook"), delivery("太郎", "sent")]);
    expect(reached).toEqual(["花子", "太郎"]);
  });

  it("counts what failed and what is still on its way", () => {
    expect(toldTo([delivery("花子", "failed"), delivery("太郎", "queued"), delivery("太郎", "sending")])).toEqual({
      reached: [], failed: 1, waiting: 2, is_logged: false,
    });
  });

  it("does not count a line in the log: nobody reads it at night", () => {
    expect(toldTo([delivery(null, "sent", "log")])).toEqual({ reached: [], failed: 0, waiting: 0, is_logged: true });
  });
});
