import { setImmediate as nextTurn } from "node:timers/promises";
import { createHub } from "@tidewire/core";
import { ENCODE_CASES } from "./encode-protocol.js";
import type { EncodeProtocol } from "./encode-protocol.js";
import { serve } from "./remote.js";

// A separate process, so that its heap holds nothing else.

const hub = createHub();
/** Prevents the result from being optimised away. */
export let kept: unknown;

/** Events per turn of the event loop, as on a busy server. */
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
      // Events are handed on only in a new turn.
      await nextTurn();
    }
    return ((performance.now() - start) * 1_000) / events;
  },
});
