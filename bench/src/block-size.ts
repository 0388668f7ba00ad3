/**
 * Size of an event's block as Tidewire and the controls send it: the fields `id` and `data`.
 *
 * @param id - The event's id, ASCII.
 * @param text - The event's data, ASCII without line breaks.
 * @returns Bytes without chunk framing, because several events may share a chunk.
 */
export function blockSize(id: string, text: string): number {
  return "id: \ndata: \n\n".length + id.length + text.length;
}
