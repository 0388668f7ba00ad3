/** Names of the keys beside the stream. */

/**
 * Gives the key of something that belongs to a stream. In a cluster both have to lie in the same slot: hence the hash
 * tag, unless the key has one of its own.
 *
 * @param key - Key of the stream.
 * @param name - What it is.
 */
export function siblingKey(key: string, name: string): string {
  return key.includes("{") ? `${key}:${name}` : `{${key}}:${name}`;
}
