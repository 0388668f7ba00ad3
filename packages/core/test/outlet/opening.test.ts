import { describe, expect, it } from "vitest";
import { Opening } from "../../src/outlet/opening.js";

describe("Opening", () => {
  it("begins the stream with a comment, the reconnection time and what was held, in order", () => {
    const opening = new Opening();
    opening.hold(Buffer.from("data: 1\n\n"));
    opening.hold(Buffer.from("data: 2\n\n"));
    expect(opening.heldBytes).toBe(18);
    expect(opening.first).toBeUndefined();
    opening.begin(1_500);
    expect(opening.first?.toString()).toBe(":\nretry: 1500\n\ndata: 1\n\ndata: 2\n\n");
    expect(opening.heldBytes).toBe(0);
  });

  it("forgets what was held when it is told to", () => {
    const opening = new Opening();
    opening.hold(Buffer.from("data: 1\n\n"));
    opening.drop();
    expect(opening.heldBytes).toBe(0);
    opening.begin(undefined);
    expect(opening.first?.toString()).toBe(":\n\n");
  });
});
