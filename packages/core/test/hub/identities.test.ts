import { describe, expect, it } from "vitest";
import { Identities } from "../../src/hub/identities.js";
import type { SessionLimit } from "../../src/options/identity.js";

class FakeSession {
  isReplaced = false;
  replace(): void {
    this.isReplaced = true;
  }
}

function make(limit: Required<SessionLimit> | false = false): Identities<FakeSession> {
  return new Identities({ maxSessionsPerIdentity: limit });
}

describe("Identities", () => {
  it("keeps the sessions of an identity in order, whether it has one or hundreds", () => {
    const identities = make();
    const all = Array.from({ length: 300 }, () => new FakeSession());
    for (const [index, session] of all.entries()) {
      identities.identified("ada", session);
      identities.started("ada", session);
      expect(identities.openOf("ada")).toEqual(all.slice(0, index + 1));
    }
    for (const [index, session] of all.entries()) {
      identities.left("ada", session);
      expect(identities.openOf("ada")).toEqual(all.slice(index + 1));
    }
    expect(identities.allOf("ada")).toEqual([]);
  });

  it("has sessions that wait to open behind the open ones", () => {
    const identities = make();
    const [open, waiting, other] = [new FakeSession(), new FakeSession(), new FakeSession()];
    for (const session of [waiting, open]) identities.identified("ada", session);
    identities.identified("bob", other);
    identities.started("ada", open);
    expect(identities.openOf("ada")).toEqual([open]);
    expect(identities.allOf("ada")).toEqual([open, waiting]);
    identities.left("ada", waiting);
    expect(identities.allOf("ada")).toEqual([open]);
  });

  it("is full at the limit, and no longer once a session has left", () => {
    const identities = make({ max: 2, excess: "refuse" });
    const [first, second] = [new FakeSession(), new FakeSession()];
    identities.started("ada", first);
    expect(identities.isFull("ada")).toBe(false);
    identities.started("ada", second);
    expect(identities.isFull("ada")).toBe(true);
    expect(identities.isFull("bob")).toBe(false);
    identities.left("ada", first);
    identities.left("ada", first);
    expect(identities.isFull("ada")).toBe(false);
  });

  it("closes the oldest beyond the limit", () => {
    const identities = make({ max: 3, excess: "closeOldest" });
    const all = Array.from({ length: 10 }, () => new FakeSession());
    for (const [index, session] of all.entries()) {
      expect(identities.isFull("ada")).toBe(false);
      identities.started("ada", session);
      const firstOpen = Math.max(0, index - 2);
      expect(identities.openOf("ada")).toEqual(all.slice(firstOpen, index + 1));
      expect(all.map(({ isReplaced }) => isReplaced)).toEqual(all.map((_, at) => at < firstOpen));
    }
  });
});
