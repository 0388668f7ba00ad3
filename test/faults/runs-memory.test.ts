// Memory of a process whose runs have many followers, and whether anything is left of runs and followers that are gone.
import net from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { connect, eventually, request, within } from "../client.js";
import { ChildServer } from "./child.js";
import type { Report } from "./child.js";

const MIB = 1024 * 1024;
const FOLLOWERS = 200;
const ITEM_BYTES = 1_000;
const RUNS = 2_500;
/** Runs before the first measurement, during which the heap grows by V8's compiled code. */
const WARM_UP = 2_500;

let server: ChildServer;

beforeEach(async () => {
  server = await ChildServer.start("http", "runs-server.mjs");
});

afterEach(() => server.kill());

async function start(query: string): Promise<void> {
  const answer = await request(server, query, { method: "POST" });
  await answer.rest();
  expect(answer.status).toBe(200);
}

/** A follower that reads a limited number of bytes in each interval; counts bytes without keeping them. */
function followAt(bytesPerTick: number): {
  socket: net.Socket;
  bytes: () => number;
  done: Promise<void>;
} {
  const socket = net.connect(server.port, "127.0.0.1");
  let bytes = 0;
  let tail = "";
  let inTick = 0;
  socket.on("error", () => {});
  const done = new Promise<void>((resolve) => {
    socket.on("data", (chunk) => {
      bytes += chunk.length;
      inTick += chunk.length;
      tail = (tail + chunk.subarray(-40).toString("latin1")).slice(-40);
      if (tail.includes("[DONE]")) resolve();
      if (inTick >= bytesPerTick) socket.pause();
    });
  });
  const timer = setInterval(() => {
    inTick = 0;
    if (bytesPerTick > 0) socket.resume();
  }, 50);
  socket.on("close", () => clearInterval(timer));
  if (bytesPerTick === 0) socket.pause();
  socket.write("GET /a HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n");
  return { socket, bytes: () => bytes, done };
}

/** Waits until the run has ended, and all code has been used. */
async function readOnce(): Promise<void> {
  const { done, socket } = followAt(Infinity);
  await within("a follower that reads", done, 20_000);
  socket.destroy();
}

async function settled(
  isSettled: (report: Report & { runs?: number }) => boolean,
): Promise<Report> {
  let report = await server.report();
  const end = performance.now() + 10_000;
  while (!isSettled(report) && performance.now() < end) {
    await delay(50);
    report = await server.report();
  }
  return server.report();
}

describe("Runs", () => {
  it(
    `send 4 MiB to ${FOLLOWERS} followers of different speeds from one tape`,
    { timeout: 60_000 },
    async () => {
      const before = await server.report();
      await start(
        `/a?items=${Math.floor((4 * MIB) / ITEM_BYTES)}&bytes=${ITEM_BYTES}&keepMs=60000`,
      );
      await readOnce();
      const tape = await settled(({ sessions }) => sessions === 0);
      const followers = Array.from({ length: FOLLOWERS }, (_, index) =>
        // From 1.3 MB/s to as fast as they can.
        followAt([65_536, 131_072, 524_288, Infinity][index % 4]!),
      );
      await within(
        "the fast followers",
        Promise.all(followers.filter((_, i) => i % 4 === 3).map(({ done }) => done)),
        30_000,
      );
      await within("all followers", Promise.all(followers.map(({ done }) => done)), 50_000);
      const after = await settled(({ sessions }) => sessions === 0);
      const mib = (bytes: number): string => (bytes / MIB).toFixed(1);
      console.log(
        `4 MiB to ${FOLLOWERS} followers: the tape takes ${mib(tape.heapUsed - before.heapUsed)} MiB of heap, RSS peaks ${mib(after.peakRss - tape.rss)} MiB above that with the tape`,
      );
      expect(after.reasons).toEqual({ completed: FOLLOWERS + 1 });
      // A copy for each follower would be 800 MiB.
      expect((after.peakRss - tape.rss) / MIB).toBeLessThan(120);
      expect((after.heapUsed - tape.heapUsed) / MIB).toBeLessThan(3);
      for (const { socket } of followers) socket.destroy();
    },
  );

  it(
    "hold a position and what its socket holds for a follower that does not read",
    { timeout: 60_000 },
    async () => {
      const COUNT = 40;
      // More than the kernel takes for a client that does not read.
      await start(
        `/a?items=${Math.floor((24 * MIB) / ITEM_BYTES)}&bytes=${ITEM_BYTES}&keepMs=60000`,
      );
      await readOnce();
      const before = await settled(({ sessions }) => sessions === 0);
      const followers = Array.from({ length: COUNT }, () => followAt(0));
      await eventually("all followers", () => followers.every(({ socket }) => !socket.connecting));
      await settled(({ sessions }) => sessions === COUNT);
      let least = Infinity;
      // The kernel takes megabytes for each of them at first.
      for (let looks = 0; looks < 6; looks++) {
        await delay(500);
        const { sessions, heapUsed } = await server.report();
        expect(sessions).toBe(COUNT);
        least = Math.min(least, heapUsed);
      }
      const each = (least - before.heapUsed) / COUNT;
      console.log(`a follower that does not read: ${(each / 1024).toFixed(1)} KiB of 24 MiB`);
      // Writes that the kernel has not taken yet: 17 to 132 KiB were seen. A copy would be 24 MiB.
      expect(each).toBeLessThan(512 * 1024);
      for (const { socket } of followers) socket.destroy();
    },
  );

  it(
    "leave nothing behind, nor do their followers, and the process exits by itself",
    { timeout: 60_000 },
    async () => {
      let left = 0;
      const stopped: string[] = [];
      async function visit(): Promise<void> {
        while (left > 0) {
          const turn = left--;
          // Every other run is stopped, half of these behind the back of a follower that was cut.
          const isStopped = turn % 2 === 0;
          await start(isStopped ? `/k${turn}` : `/k${turn}?items=3&bytes=100`);
          const socket = await connect(server.port);
          socket.write(`GET /k${turn} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`);
          let text = "";
          socket.on("data", (chunk) => (text += chunk.toString("latin1")));
          await eventually("an item", () => text.includes("data: "));
          if (isStopped) {
            if (turn % 4 === 0) socket.resetAndDestroy();
            const answer = await request(server, `/k${turn}`, { method: "DELETE" });
            stopped.push(await answer.rest());
          }
          socket.destroy();
        }
      }
      async function visitAll(count: number): Promise<void> {
        left = count;
        await Promise.all(Array.from({ length: 50 }, visit));
      }
      const isEmpty = (report: Report & { runs?: number }): boolean =>
        report.sessions === 0 && report.connections === 0 && report.runs === 0;
      await visitAll(WARM_UP);
      const before = await settled(isEmpty);
      await visitAll(RUNS);
      const after = await settled(isEmpty);
      expect(new Set(stopped)).toEqual(new Set(["true"]));
      expect(after).toMatchObject({ sessions: 0, connections: 0, runs: 0 });
      expect(after.resources).toEqual(before.resources);
      expect(after.listeners).toBe(before.listeners);
      const each = (after.heapUsed - before.heapUsed) / RUNS;
      console.log(`${each.toFixed(0)} bytes of heap left a run and a follower`);
      // A retained run or session would be more.
      expect(each).toBeLessThan(256);
      // One that goes on does not keep the process.
      await start("/last");
      const { code, stderr } = await server.close();
      expect(stderr).toBe("");
      expect(code).toBe(0);
    },
  );
});
