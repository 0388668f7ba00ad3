/** A frame as a part of a larger buffer: for one that is kept a view of its own would be most of what it weighs. */
export interface StoredFrame {
  readonly slab: Buffer;
  /** Where it begins in `slab`. */
  readonly start: number;
  /** Where it ends. */
  readonly end: number;
}

/** Frames that many responses are sent, joined once for all of them. Never change a byte. */
export interface SharedFrames {
  /** The frames, one after the other. */
  readonly bytes: Buffer;
  /** The same bytes as one chunk of HTTP/1.1's chunked coding: what goes over the wire. */
  readonly chunk: Buffer;
}

/**
 * Joins frames, and puts around them what Node's `response.write` would send around them.
 *
 * @param frames - Encoded frames.
 * @returns Both forms, in the same memory. For no bytes at all the chunk is empty too: one of length zero would
 *   end the body.
 * @see https://www.rfc-editor.org/rfc/rfc9112#section-7.1
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
  const head = `${size.toString(16)}\r\n`;
  const chunk = Buffer.allocUnsafe(head.length + size + 2);
  let at = chunk.write(head, "latin1");
  for (const { slab, start, end } of frames) at += slab.copy(chunk, at, start, end);
  chunk.write("\r\n", at, "latin1");
  return { bytes: chunk.subarray(head.length, at), chunk };
}

/** @returns Bytes of all frames. */
export function sizeOf(frames: readonly StoredFrame[]): number {
  let size = 0;
  for (const { start, end } of frames) size += end - start;
  return size;
}

const NOTHING: SharedFrames = { bytes: Buffer.alloc(0), chunk: Buffer.alloc(0) };
