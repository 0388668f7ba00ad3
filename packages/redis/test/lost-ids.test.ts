import { describe, expect, it } from "vitest";
import { LostIds } from "../src/lost-ids.js";

/** Redis' clock when this process's clock shows 0. */
const START = 1_000_000;

/** After a loss that was noticed 5 s after the start. The clock of the new history is a minute behind. */
function afterLoss(): LostIds {
  const lost = new LostIds();
  lost.passed(START, 0);
  lost.lostBy(5_000);
  lost.passed(START + 5_000 - 60_000, 5_000);
  return lost;
}

describe("LostIds", () => {
  it("has none before a loss", () => {
    const lost = new LostIds();
    lost.passed(START, 0);
    expect([lost.until, lost.mayHave("1-0")]).toEqual([-Infinity, false]);
  });

  it("has all that the clock had reached when the loss was noticed", () => {
    const lost = afterLoss();
    expect(lost.until).toBe(START + 5_000);
    expect(lost.mayHave(`${START + 5_000}-7`)).toBe(true);
    expect(lost.mayHave(`${START + 5_001}-0`)).toBe(false);
  });

  it("also has those that were ahead of the clock, as after it was set back", () => {
    const lost = new LostIds();
    lost.passed(START, 0);
    lost.passed(START + 10_000, 1_000);
    lost.lostBy(2_000);
    expect(lost.until).toBe(START + 11_000);
  });

  it("is not smaller after a second loss, with a clock that is behind", () => {
    const lost = afterLoss();
    lost.lostBy(6_000);
    expect(lost.until).toBe(START + 5_000);
    lost.passed(START - 50_000, 10_000);
    lost.lostBy(75_000);
    expect(lost.until).toBe(START + 15_000);
  });

  it("has what other nodes know of", () => {
    const lost = afterLoss();
    lost.learn(START);
    expect(lost.until).toBe(START + 5_000);
    lost.learn(START + 6_000);
    expect(lost.mayHave(`${START + 6_000}-0`)).toBe(true);
  });
});
