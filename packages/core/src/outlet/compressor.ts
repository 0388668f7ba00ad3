/** Finds compressors that a middleware or a hook has put between the outlet and the client. */

import type { NodeResponse, StreamBody } from "../http/exchange.js";

/** A compressor that has to be flushed after each event. */
export interface Compressor {
  flush(): void;
  /** Bytes written to it since it asked to wait. It does not report how much it holds. */
  heldBytes: number;
}

/** @returns The compressor that the body passes through; `undefined` if there is none. */
export function findCompressor(body: StreamBody, response: NodeResponse): Compressor | undefined {
  // Compressors add `flush` to the response itself. The inherited one is Node's: deprecated, and it flushes the head.
  const canFlush = body === response ? Object.hasOwn(body, "flush") : "flush" in body;
  if (!canFlush) return undefined;
  const { flush } = body as { flush?: unknown };
  if (typeof flush !== "function") return undefined;
  return { flush: () => (flush as () => void).call(body), heldBytes: 0 };
}
