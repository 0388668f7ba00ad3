import { describe, expect, it } from "vitest";
import { connect, eventually } from "../client.js";
import { ChildServer } from "./child.js";
import type { Framework, Report } from "./child.js";

const CONNECTS = 10_000;
/** Connections before the first measurement, during which the heap grows by V8's compiled code. */
const WARM_UP = 5_000;
const AT_ONCE = 100;

describe.each<Framework>(["http", "express", "fastify"])("%s", (framework) => {
  it(
    `returns to its initial state after ${CONNECTS} connects and cuts, and exits by itself after close()`,
    { timeout: 120_000 },
    async () => {
      const server = await ChildServer.start(framework);
      try {
        await connectAndCut(server, WARM_UP);
        const before = await settled(server);
        await connectAndCut(server, CONNECTS);
        const after = await settled(server);
        expect(after.sessions).toBe(0);
        expect(after.connections).toBe(0);
        expect(after.listeners).toBe(before.listeners);
        expect(after.resources).toEqual(before.resources);
        expect(after.reasons).toEqual({ client: CONNECTS + WARM_UP });
        const perSession = (after.heapUsed - before.heapUsed) / CONNECTS;
        console.log(`${framework}: ${perSession.toFixed(0)} bytes of heap left a connect and cut`);
        // A single retained listener or closure of a session would be more.
        expect(perSession).toBeLessThan(64);

        const { code, stderr } = await server.close();
        expect(stderr).toBe("");
        expect(code).toBe(0);
      } finally {
        server.kill();
      }
    },
  );
});

async function settled(server: ChildServer): Promise<Report> {
  let report = await server.report();
  const end = performance.now() + 10_000;
  while ((report.sessions > 0 || report.connections > 0) && performance.now() < end) {
    await new Promise((resolve) => {
      setTimeout(resolve, 50);
    });
    report = await server.report();
  }
  return server.report();
}

/** Opens streams and cuts them in every way: by FIN, by RST, and before the head has arrived. */
async function connectAndCut(server: ChildServer, count: number): Promise<void> {
  let left = count;
  async function visit(): Promise<void> {
    while (left > 0) {
      const turn = left--;
      const socket = await connect(server.port);
      socket.write("GET /open HTTP/1.1\r\nHost: localhost\r\n\r\n");
      let isOpen = false;
      let isClosed = false;
      socket.once("data", () => (isOpen = true)).once("close", () => (isClosed = true));
      await eventually("the head", () => isOpen || isClosed);
      if (turn % 2 === 0) socket.resetAndDestroy();
      else socket.destroy();
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, visit));
}
