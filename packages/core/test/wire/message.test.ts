import { describe, expect, it } from "vitest";
import { encodeMessage } from "../../src/wire/encode.js";
import { COMPLETE_ID, RESERVED_EVENT_PREFIX } from "../../src/wire/message.js";

describe("the reserved names", () => {
  it("are the ones that clients know", () => {
    expect(COMPLETE_ID).toBe("~end");
    expect(RESERVED_EVENT_PREFIX).toBe("sse-");
  });

  it("are valid in an event stream", () => {
    expect(
      encodeMessage({ event: `${RESERVED_EVENT_PREFIX}complete`, id: COMPLETE_ID, data: "" }),
    ).toBe("event: sse-complete\nid: ~end\ndata: \n\n");
  });
});
