/** State of an outlet that only an opening stream needs; dropped with its first bytes. */

/** Holds what an opening stream has accepted but cannot write yet. */
export class Opening {
  /** Frames accepted before the head was sent. */
  #held: Uint8Array[] | undefined;
  #heldBytes = 0;
  /** Whether the head is sent, so the next bytes may follow. */
  isHeadOut = false;

  /** Sum of the lengths of the held frames. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** Accepts a frame before the head is sent. */
  hold(frame: Uint8Array): void {
    (this.#held ??= []).push(frame);
    this.#heldBytes += frame.byteLength;
  }

  /** Drops the held frames. */
  drop(): void {
    this.#held = undefined;
    this.#heldBytes = 0;
  }

  /** @returns The held frames followed by another one, for one write. */
  withHeld(frame: Uint8Array): Uint8Array {
    return this.#held === undefined ? frame : Buffer.concat([...this.#held, frame]);
  }
}
