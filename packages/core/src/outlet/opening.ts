import { encodeOpening } from "../wire/frame.js";
import type { ResolvedOpenOptions } from "../options/open.js";

/**
 * What a session needs only while its stream opens: an open stream, of which there are thousands, does without it.
 */
export class Opening {
  readonly options: ResolvedOpenOptions;
  /** Frames that were accepted before the head was out. */
  #held: Uint8Array[] = [];
  #heldBytes = 0;
  #first: Buffer | undefined;

  constructor(options: ResolvedOpenOptions) {
    this.options = options;
  }

  /** Sum of the lengths of what is held. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** What the stream begins with; `undefined` until the head is out. */
  get first(): Buffer | undefined {
    return this.#first;
  }

  /** Accepts a frame before the head is out. */
  hold(frame: Uint8Array): void {
    this.#held.push(frame);
    this.#heldBytes += frame.byteLength;
  }

  /** Forgets what is held. */
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
