/** State of an outlet that only an opening stream needs; dropped with its first bytes. */

import { encodeOpening } from "../wire/frame.js";

/** What an opening stream has accepted but cannot write yet. */
export class Opening {
  /** Frames accepted before the head was out. */
  #held: Uint8Array[] = [];
  #heldBytes = 0;
  #first: Buffer | undefined;

  /** Sum of the lengths of the held frames. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** Bytes that the stream begins with; `undefined` until the head is out. */
  get first(): Buffer | undefined {
    return this.#first;
  }

  /** Accepts a frame before the head is out. */
  hold(frame: Uint8Array): void {
    this.#held.push(frame);
    this.#heldBytes += frame.byteLength;
  }

  /** Forgets the held frames. */
  drop(): void {
    this.#held = [];
    this.#heldBytes = 0;
  }

  /**
   * The head is out. Head and first bytes leave in one packet, and the client sees the stream open at once.
   *
   * @param retry - Reconnection time in milliseconds; `undefined` for none.
   */
  begin(retry: number | undefined): void {
    const opening = encodeOpening(retry);
    this.#first = this.#held.length === 0 ? opening : Buffer.concat([opening, ...this.#held]);
    this.drop();
  }
}
