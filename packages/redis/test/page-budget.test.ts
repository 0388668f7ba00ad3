import { describe, expect, it } from "vitest";
import type { StreamEntry } from "../src/entry.js";
import { PageBudget } from "../src/page-budget.js";

const MEBIBYTE = 1_048_576;

/** A page with one entry of this size. */
function pageOf(bytes: number): StreamEntry[] {
  return [["1-0", ["d", "x".repeat(bytes - 1)]]];
}

describe("PageBudget", () => {
  it("starts with a quarter of a mebibyte, because the link is still unknown", () => {
    expect(new PageBudget()).toMatchObject({ bytes: MEBIBYTE / 4, entries: 1_000 });
  });

  it("doubles while full pages arrive quickly, up to a mebibyte", () => {
    const budget = new PageBudget();
    const sizes: number[] = [];
    for (let page = 0; page < 4; page++) {
      budget.took(pageOf(budget.bytes), 10);
      sizes.push(budget.bytes);
    }
    expect(sizes).toEqual([MEBIBYTE / 2, MEBIBYTE, MEBIBYTE, MEBIBYTE]);
  });

  it("stays unchanged after a page that was not full, and after a slow one", () => {
    const budget = new PageBudget();
    budget.took(pageOf(1_000), 10);
    budget.took([], 10);
    budget.took(pageOf(MEBIBYTE / 4), 500);
    expect(budget.bytes).toBe(MEBIBYTE / 4);
  });

  it("shrinks after a page that took longer than a second", () => {
    const budget = new PageBudget();
    budget.took(pageOf(MEBIBYTE / 4), 1_001);
    expect(budget.bytes).toBe(MEBIBYTE / 8);
  });

  it("shrinks after a page that failed, down to one entry, and grows again", () => {
    const budget = new PageBudget();
    budget.failed();
    expect(budget.bytes).toBe(MEBIBYTE / 16);
    for (let page = 0; page < 20; page++) budget.failed();
    expect(budget.bytes).toBe(1);
    for (let page = 0; page < 20; page++) budget.took(pageOf(1_000), 10);
    expect(budget.bytes).toBeGreaterThan(1_000);
  });
});
