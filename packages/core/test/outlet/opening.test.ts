import { describe, expect, it } from "vitest";
import { Opening } from "../../src/outlet/opening.js";

describe("Opening", () => {
  it("begins the stream with the held frames, in order", () => {
    const opening = new Opening();
    opening.hold(Buffer.from("data: 1\n\n"));
    opening.hold(Buffer.from("data: 2\n\n"));
    expect(opening.heldBytes).toBe(18);
    const first = opening.withHeld(Buffer.from("data: 3\n\n"));
    expect(Buffer.from(first).toString()).toBe("data: 1\n\ndata: 2\n\ndata: 3\n\n");
  });

  it("drops the held frames on request", () => {
    const opening = new Opening();
    opening.hold(Buffer.from("data: 1\n\n"));
    opening.drop();
    expect(opening.heldBytes).toBe(0);
    expect(Buffer.from(opening.withHeld(Buffer.from(":\n\n"))).toString()).toBe(":\n\n");
  });
});
