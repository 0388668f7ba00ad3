/** Compressors that a middleware or a hook has put between us and the client. */

import type { NodeResponse, StreamBody } from "../http/exchange.js";

/** A compressor that has to be told to let go of each event. */
export interface Compressor {
  flush(): void;
  /** Bytes it was given since it asked to wait: it does not say how much it holds. */
  heldBytes: number;
}

/** @returns The compressor that the body goes through, `undefined` if there is none. */
export function findCompressor(body: StreamBody, response: NodeResponse): Compressor | undefined {
  // Compressors add `flush` to the response itself. The inherited one is Node's, deprecated, and flushes the head.
  const canFlush = body === response ? Object.hasOwn(body, "flush") : "flush" in body;
  if (!canFlush) return undefined;
  const { flush } = body as { flush?: unknown };
  if (typeof flush !== "function") return undefined;
  return { flush: () => (flush as () => void).call(body), heldBytes: 0 };
}
