/** Names of the keys that belong to a stream. */

/**
 * Returns the key of data that belongs to a stream. In a cluster both have to lie in the same slot, so the key gets a
 * hash tag unless it has one.
 *
 * @param key - Key of the stream.
 * @param name - Name of the data.
 */
export function siblingKey(key: string, name: string): string {
  return key.includes("{") ? `${key}:${name}` : `{${key}}:${name}`;
}
