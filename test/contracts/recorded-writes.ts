import type { ServerResponse } from "node:http";
import type { Socket } from "node:net";

/** Records each write to a socket. */
export function recordWrites(socket: Socket): Buffer[] {
  const pieces: Buffer[] = [];
  const { write } = socket;
  socket.write = ((...args: Parameters<typeof write>) => {
    const [piece] = args as unknown as [Uint8Array | string];
    pieces.push(Buffer.from(piece as string));
    return write.apply(socket, args);
  }) as typeof write;
  return pieces;
}

/** Wraps `response.write` with a function that passes everything on and counts the calls. */
export function wrapWrites(response: ServerResponse, counted: { ordinaryWrites: number }): void {
  const { write } = response;
  response.write = ((...args: Parameters<typeof write>) => {
    counted.ordinaryWrites += 1;
    return write.apply(response, args);
  }) as typeof write;
}
