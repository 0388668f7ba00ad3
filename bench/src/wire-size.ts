/**
 * Size of an event on the wire as Tidewire and the controls send it: a block of `id` and `data` in one chunk
 * of HTTP/1.1.
 *
 * @param id - The event's id, ASCII.
 * @param text - The event's data, ASCII without line breaks.
 * @returns Bytes.
 */
export function wireSize(id: string, text: string): number {
  const block = "id: \ndata: \n\n".length + id.length + text.length;
  return block.toString(16).length + "\r\n\r\n".length + block;
}
