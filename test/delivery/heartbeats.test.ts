/** How late heartbeats are. This file runs alone. */

import type { Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { expect, it } from "vitest";
import { eventually } from "../client.js";
import { EventClient } from "./event-client.js";
import { serve } from "./served.js";

/** A heartbeat as an HTTP/1.1 chunk. */
const HEARTBEAT = Buffer.from("3\r\n:\n\n\r\n");

it("heartbeats are on time, however many sessions there are", async () => {
  const COUNT = 200;
  const heartbeatMs = 2_000;
  const gaps: number[] = [];
  const { port } = await serve(
    ({ sse, request }) => {
      let last = performance.now();
      const socket = request.socket as Socket;
      const { write } = socket;
      socket.write = ((...args: Parameters<typeof write>) => {
        const now = performance.now();
        if (Buffer.from(args[0] as Uint8Array).equals(HEARTBEAT)) gaps.push(now - last);
        last = now;
        return write.apply(socket, args);
      }) as typeof write;
      void sse.subscribe("quiet");
    },
    { heartbeatMs },
  );
  const clients = Array.from({ length: COUNT }, () => new EventClient(port, "/"));
  for (const [i, client] of clients.entries()) {
    if (i % 20 === 0) await delay(20);
    client.connect();
  }
  await eventually("two heartbeats each", () => gaps.length >= 2 * COUNT);
  expect(Math.max(...gaps)).toBeLessThanOrEqual(heartbeatMs);
});
