import type { ServerResponse } from "node:http";
import type { Socket } from "node:net";

/** Records what is written to one socket, piece by piece. */
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

/** Puts a wrapper around `response.write` that hands everything on, and counts. */
export function wrapWrites(response: ServerResponse, counted: { ordinaryWrites: number }): void {
  const { write } = response;
  response.write = ((...args: Parameters<typeof write>) => {
    counted.ordinaryWrites += 1;
    return write.apply(response, args);
  }) as typeof write;
}
