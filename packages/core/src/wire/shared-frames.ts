/** Frames sent to many responses, as bytes and as an HTTP/1.1 chunk. */

/**
 * A frame inside a larger buffer. Frames are kept for long, and a `Buffer` view for each would weigh more than most
 * frames.
 */
export interface StoredFrame {
  readonly slab: Buffer;
  /** Start in `slab`. */
  readonly start: number;
  /** End in `slab`. */
  readonly end: number;
}

/** Frames for many responses, joined once. Never modify the bytes. */
export class SharedFrames {
  /** The frames as one HTTP/1.1 chunk, as sent over the wire. */
  readonly chunk: Buffer;
  /** Number of bytes of the frames themselves. */
  readonly size: number;
  /** `undefined` until needed: most frames are sent only as a chunk. */
  #bytes: Buffer | undefined;
  /** `undefined` until a client that is not reading gets these frames. */
  #compact: SharedFrames | undefined;

  constructor(chunk: Buffer, size: number) {
    this.chunk = chunk;
    this.size = size;
  }

  /** The frames joined, without the chunk around them, in the same memory. */
  get bytes(): Buffer {
    if (this.#bytes === undefined) {
      const end = this.size === 0 ? 0 : this.chunk.byteLength - END.length;
      this.#bytes = this.chunk.subarray(end - this.size, end);
    }
    return this.#bytes;
  }

  /**
   * The same frames in separate memory, copied once.
   *
   * Bytes waiting in a socket keep their memory alive: a small event would keep a whole slab.
   */
  get compact(): SharedFrames {
    if (this.chunk.buffer.byteLength <= 2 * this.chunk.byteLength) return this;
    if (this.#compact === undefined) {
      const chunk = Buffer.allocUnsafeSlow(this.chunk.byteLength);
      this.chunk.copy(chunk);
      this.#compact = new SharedFrames(chunk, this.size);
    }
    return this.#compact;
  }
}

/** Follows the bytes of a chunk. */
export const END = "\r\n";

/**
 * Returns the head of a chunk.
 *
 * @param size - Number of bytes, more than 0.
 * @returns The number in hexadecimal and a line end.
 * @see https://www.rfc-editor.org/rfc/rfc9112#section-7.1
 */
function headOf(size: number): string {
  return `${size.toString(16)}\r\n`;
}

/**
 * Shares a frame stored as a chunk, without a copy.
 *
 * @param frame - A frame as `FrameSlab` stores it: between a chunk's head and a chunk's end.
 * @returns The frame alone.
 */
export function shareChunk({ slab, start, end }: StoredFrame): SharedFrames {
  const size = end - start;
  return new SharedFrames(slab.subarray(start - headOf(size).length, end + END.length), size);
}

/**
 * Joins frames and adds the chunk coding that Node's `response.write` would add.
 *
 * @param frames - Encoded frames.
 * @returns Both forms, in the same memory. For no bytes the chunk is empty, because a chunk of length zero would end
 *   the body.
 */
export function shareFrames(frames: readonly Buffer[]): SharedFrames {
  return shareStored(frames.map((slab) => ({ slab, start: 0, end: slab.byteLength })));
}

/**
 * Joins stored frames.
 *
 * @param frames - Stored frames.
 * @returns Same as {@link shareFrames}: a copy.
 */
export function shareStored(frames: readonly StoredFrame[]): SharedFrames {
  const size = sizeOf(frames);
  if (size === 0) return NOTHING;
  const head = headOf(size);
  const chunk = Buffer.allocUnsafe(head.length + size + END.length);
  let at = chunk.write(head, "latin1");
  for (const { slab, start, end } of frames) at += slab.copy(chunk, at, start, end);
  chunk.write(END, at, "latin1");
  return new SharedFrames(chunk, size);
}

/** @returns Total bytes of the frames. */
export function sizeOf(frames: readonly StoredFrame[]): number {
  let size = 0;
  for (const { start, end } of frames) size += end - start;
  return size;
}

const NOTHING: SharedFrames = new SharedFrames(Buffer.alloc(0), 0);
