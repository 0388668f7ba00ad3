/** Decodes compressed answers, for clients that ask for them in `Accept-Encoding`. */

import { pipeline } from "node:stream";
import type { Readable, Transform } from "node:stream";
import { createBrotliDecompress, createGunzip, createInflate } from "node:zlib";

/** Decoders by `Content-Encoding`. */
const DECODERS: Readonly<Record<string, () => Transform>> = {
  gzip: createGunzip,
  deflate: createInflate,
  br: createBrotliDecompress,
};

/**
 * Decodes the body of an answer.
 *
 * @param encoding - Its `Content-Encoding`; with one that is unknown the bytes stay as they are.
 * @returns The body. It ends as the answer does: in order, or without an end if the connection breaks.
 */
export function decodeBody(body: Readable, encoding: string | undefined): Readable {
  const decoder = encoding === undefined ? undefined : DECODERS[encoding.toLowerCase()];
  // The reader of the decoded body notices how the answer ends.
  return decoder === undefined ? body : pipeline(body, decoder(), () => {});
}
