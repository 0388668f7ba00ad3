import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { eventually, request } from "../client.js";
import { ChildServer } from "./child.js";
import type { Framework, Report } from "./child.js";

const MIB = 1024 * 1024;
const MAX_BUFFERED_BYTES = MIB;
const FRAMEWORKS: readonly Framework[] = ["http", "express", "fastify"];

describe.each(FRAMEWORKS)("%s and a client that stops reading", (framework) => {
  let server: ChildServer;

  beforeEach(async () => {
    server = await ChildServer.start(framework);
  });

  afterEach(() => server.kill());

  async function reportWhen(isTrue: (report: Report) => boolean): Promise<Report> {
    let report = await server.report();
    const end = performance.now() + 15_000;
    while (!isTrue(report) && performance.now() < end) {
      await new Promise((resolve) => {
        setTimeout(resolve, 50);
      });
      report = await server.report();
    }
    return report;
  }

  it.each(["/flood", "/drip"])(
    "is closed with slow near maxBufferedBytes while 100 MB are sent without await (%s)",
    async (path) => {
      const before = await server.report();
      const client = await request(server, path, { paused: true });
      const after = await reportWhen(({ reasons }) => Object.keys(reasons).length > 0);
      expect(after.reasons).toEqual({ slow: 1 });
      expect(after.sessions).toBe(0);
      // Chunk framing counts as buffered, but not as sent by the application.
      expect(after.bufferedAtClose).toBeLessThan(MAX_BUFFERED_BYTES + 2_000);
      const grown = (after.peakRss - before.rss) / MIB;
      console.log(`${framework} ${path}: RSS grew by ${grown.toFixed(1)} MiB at most`);
      expect(grown).toBeLessThan(20);
      client.cut();
    },
  );

  it("stops the source of stream(), whose memory stays flat while 100 MB are offered", async () => {
    const before = await server.report();
    const client = await request(server, "/offer", { paused: true });
    // After the first second the kernel's buffers are full; the stall timeout of this server is 2 s.
    const after = await reportWhen(({ reasons }) => Object.keys(reasons).length > 0);
    expect(after.reasons).toEqual({ slow: 1 });
    expect(after.sourceEnds).toBe(1);
    // Only what the kernel and the socket hold, not everything offered.
    expect(after.taken).toBeLessThan(20 * MIB);
    const grown = (after.peakRss - before.rss) / MIB;
    console.log(
      `${framework} /offer: ${(after.taken / MIB).toFixed(1)} MiB taken of 100, RSS grew by ${grown.toFixed(1)} MiB at most`,
    );
    expect(grown).toBeLessThan(20);
    client.cut();
  });

  it("takes all 100 MB when it reads", async () => {
    const client = await request(server, "/offer", { paused: true });
    client.drop();
    await eventually("100 MB", () => client.receivedBytes > 100 * MIB);
    expect((await server.report()).sourceEnds).toBe(1);
    client.cut();
  });
});
