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
  let size = 0;
  for (const frame of frames) size += frame.byteLength;
  if (size === 0) return NOTHING;
  const head = `${size.toString(16)}\r\n`;
  const chunk = Buffer.allocUnsafe(head.length + size + 2);
  let end = chunk.write(head, "latin1");
  for (const frame of frames) {
    chunk.set(frame, end);
    end += frame.byteLength;
  }
  chunk.write("\r\n", end, "latin1");
  return { bytes: chunk.subarray(head.length, end), chunk };
}

const NOTHING: SharedFrames = { bytes: Buffer.alloc(0), chunk: Buffer.alloc(0) };
