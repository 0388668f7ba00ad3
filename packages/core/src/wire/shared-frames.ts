/** Frames that many responses are sent, as bytes and as a chunk of HTTP/1.1. */

/**
 * A frame as a part of a larger buffer. Frames are kept for long, and a `Buffer` view for each would weigh more than most
 * frames.
 */
export interface StoredFrame {
  readonly slab: Buffer;
  /** Where it begins in `slab`. */
  readonly start: number;
  /** Where it ends. */
  readonly end: number;
}

/** Frames that many responses are sent, joined once for all of them. Never change a byte. */
export class SharedFrames {
  /** The frames as one chunk of HTTP/1.1's chunked coding: what goes over the wire. */
  readonly chunk: Buffer;
  /** Number of bytes of the frames themselves. */
  readonly size: number;
  /** `undefined` until somebody needs it: most are sent as a chunk only. */
  #bytes: Buffer | undefined;
  /** `undefined` until a client that is not taking them is sent these frames. */
  #compact: SharedFrames | undefined;

  constructor(chunk: Buffer, size: number) {
    this.chunk = chunk;
    this.size = size;
  }

  /** The frames, one after the other: the same memory without the framing. */
  get bytes(): Buffer {
    if (this.#bytes === undefined) {
      const end = this.size === 0 ? 0 : this.chunk.byteLength - END.length;
      this.#bytes = this.chunk.subarray(end - this.size, end);
    }
    return this.#bytes;
  }

  /**
   * The same frames in memory that holds nothing else, made once for all.
   *
   * Bytes that wait in a socket keep their memory alive: a small event would keep a whole slab.
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

/** Behind the bytes of a chunk. */
export const END = "\r\n";

/**
 * Says what stands before the bytes of a chunk.
 *
 * @param size - Number of bytes, more than 0.
 * @returns Their number in hexadecimal, and a line's end.
 * @see https://www.rfc-editor.org/rfc/rfc9112#section-7.1
 */
function headOf(size: number): string {
  return `${size.toString(16)}\r\n`;
}

/**
 * Shares a frame that is stored as a chunk, without a copy.
 *
 * @param frame - A frame as `FrameSlab` stores it: its slab holds a chunk's head before it and a chunk's end behind it.
 * @returns The frame alone.
 */
export function shareChunk({ slab, start, end }: StoredFrame): SharedFrames {
  const size = end - start;
  return new SharedFrames(slab.subarray(start - headOf(size).length, end + END.length), size);
}

/**
 * Joins frames, and puts around them what Node's `response.write` would send around them.
 *
 * @param frames - Encoded frames.
 * @returns Both forms, in the same memory. For no bytes at all the chunk is empty too: one of length zero would
 *   end the body.
 */
export function shareFrames(frames: readonly Buffer[]): SharedFrames {
  return shareStored(frames.map((slab) => ({ slab, start: 0, end: slab.byteLength })));
}

/**
 * Joins stored frames.
 *
 * @param frames - Frames where they are kept.
 * @returns As {@link shareFrames}: a copy.
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

/** @returns Bytes of all frames. */
export function sizeOf(frames: readonly StoredFrame[]): number {
  let size = 0;
  for (const { start, end } of frames) size += end - start;
  return size;
}

const NOTHING: SharedFrames = new SharedFrames(Buffer.alloc(0), 0);
