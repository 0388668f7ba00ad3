import { frameChunk } from "./shared-frames.js";
import type { StoredFrame } from "./shared-frames.js";

/** Size of a slab in bytes. */
const SLAB_BYTES = 65_536;
/** A frame larger than this has memory of its own: at the end of a slab it would waste too much. */
const MAX_SHARED_BYTES = 16_384;

/**
 * Memory for frames that are kept for a while and dropped in the order in which they came.
 *
 * Node's own pool cuts small buffers from pieces that short-lived ones share: each frame would keep a piece
 * alive, of which the rest is garbage. Here frames lie side by side, and a slab is free once its last one is.
 */
export class FrameSlab {
  #slab: Buffer = Buffer.alloc(0);
  #used = 0;

  /**
   * @param block - Text of a frame.
   * @returns Where its bytes are, as UTF-8. Around them lies the rest of a chunk of HTTP/1.1, so that the frame can be
   *   sent from where it is.
   */
  write(block: string): StoredFrame {
    const size = Buffer.byteLength(block);
    const { text, start } = frameChunk(block, size);
    const total = text.length - block.length + size;
    if (total > MAX_SHARED_BYTES) {
      const slab = Buffer.allocUnsafeSlow(total);
      slab.write(text);
      return { slab, start, end: start + size };
    }
    if (this.#used + total > this.#slab.byteLength) {
      this.#slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
      this.#used = 0;
    }
    const begin = this.#used + start;
    this.#used += this.#slab.write(text, this.#used);
    return { slab: this.#slab, start: begin, end: begin + size };
  }
}
