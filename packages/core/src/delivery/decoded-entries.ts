/** Entries of the window as readers in server code get them: decoded once for all that read them at about the same time. */

import { decodeFrame } from "../wire/decode.js";
import type { DecodedFrame } from "../wire/decode.js";
import type { WindowEntry } from "./window.js";

/** Most bytes of entries that are kept decoded. */
const MAX_BYTES = 65_536;

/** The entries that were decoded last. */
export class DecodedEntries {
  readonly #byPosition: Map<number, DecodedFrame> = new Map();
  #bytes = 0;

  /** @returns The entry, decoded. Never modify it. */
  of(entry: WindowEntry): DecodedFrame {
    const known = this.#byPosition.get(entry.position);
    if (known !== undefined) return known;
    const size = entry.end - entry.start;
    if (this.#bytes + size > MAX_BYTES) this.clear();
    const decoded = decodeFrame(entry);
    this.#byPosition.set(entry.position, decoded);
    this.#bytes += size;
    return decoded;
  }

  /** Positions will stand for other entries. */
  clear(): void {
    this.#byPosition.clear();
    this.#bytes = 0;
  }
}
