import { setImmediate as nextTurn } from "node:timers/promises";
import { createHub } from "@tidewire/core";
import { ENCODE_CASES } from "./encode-protocol.js";
import type { EncodeProtocol } from "./encode-protocol.js";
import { serve } from "./remote.js";

// A separate process, so that its heap holds nothing else.

const hub = createHub();
/** Keeps what is encoded from being optimised away. */
export let kept: unknown;

/** Events in a turn of the event loop, as a busy server would have them. */
const BATCH = 10;

serve<EncodeProtocol>({
  async measure({ name, way, events }) {
    const text = ENCODE_CASES[name];
    const start = performance.now();
    for (let done = 0; done < events; done += BATCH) {
      for (let one = 0; one < BATCH; one++) {
        if (way === "publish") kept = hub.publish("nobody", text);
        else kept = Buffer.from(JSON.stringify(text));
      }
      // Only in a new turn is what was published handed on.
      await nextTurn();
    }
    return ((performance.now() - start) * 1_000) / events;
  },
});
