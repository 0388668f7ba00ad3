import type http from "node:http";
import type { AddressInfo } from "node:net";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { createHub } from "@tidewire/core";
import type { Hub, HubOptions } from "@tidewire/core";
import { sse } from "@tidewire/express";
import { ssePlugin } from "@tidewire/fastify";
import express from "express";
import Fastify from "fastify";
import { afterEach, describe, expect, it } from "vitest";
import { eventually } from "../client.js";
import { Tally, connectAll, faultIn, pause, whenBodyEnds } from "../faults/channels-tally.js";
import { EventClient } from "./event-client.js";
import { listen } from "./listen.js";

const FRAMEWORKS = ["http", "express", "fastify"] as const;
type Framework = (typeof FRAMEWORKS)[number];

/** Less than the half second between two checks of stream ages. Pauses of the process itself are added. */
const SLACK_MS = 400;

const closers: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

/** A server whose streams follow the channels in their query. */
async function serve(
  framework: Framework,
  options: HubOptions,
): Promise<{ hub: Hub; port: number }> {
  const channelsOf = (url = "/"): string[] =>
    new URL(url, "http://localhost").searchParams.get("channels")?.split(",") ?? [];
  if (framework === "fastify") {
    const app = Fastify({ return503OnClosing: false });
    closers.push(() => app.close());
    await app.register(ssePlugin, options);
    app.get("/", (request, reply) => {
      void reply.sse.subscribe(channelsOf(request.url));
      return reply;
    });
    await app.listen({ port: 0, host: "127.0.0.1" });
    return { hub: app.sse, port: (app.server.address() as AddressInfo).port };
  }
  const hub = createHub(options);
  let listener: http.RequestListener = (request, response) => {
    void hub.createSession({ request, response }).subscribe(channelsOf(request.url));
  };
  if (framework === "express") {
    const app = express();
    app.use(sse({ hub }));
    app.get("/", (request, response) => void response.sse.subscribe(channelsOf(request.url)));
    listener = app;
  }
  const server = await listen(hub, listener);
  closers.push(() => server.close());
  return { hub, port: server.port };
}

describe.each(FRAMEWORKS)("%s", (framework) => {
  it("replays nothing of a channel that was revoked between cut and resume", async () => {
    const allowed = new Set(["open", "secret"]);
    const asked: string[] = [];
    const { hub, port } = await serve(framework, {
      authorize: async (channel) => {
        asked.push(channel);
        await pause(1);
        return allowed.has(channel);
      },
      onError: () => {},
    });
    const client = new EventClient(port, "/?channels=open,secret");
    const bytes: Buffer[] = [];
    client.onChunk = (chunk) => {
      bytes.push(chunk);
      return chunk;
    };
    client.connect();
    await eventually("the stream", () => hub.stats().sessions.live === 1);
    await hub.publish("open", "open before");
    await hub.publish("secret", "secret before");
    await eventually("both events", () => client.events.length === 2);
    client.cut("rst");
    await eventually("the cut", () => hub.sessionCount === 0);

    for (let i = 0; i < 20; i++) {
      await hub.publish("open", `open ${i}`);
      await hub.publish("secret", `secret ${i}`);
    }
    allowed.delete("secret");
    asked.length = 0;
    bytes.length = 0;
    client.connect();
    await eventually("the refusal", () => client.statuses.length === 2);
    await pause(50);
    expect(client.statuses[1]).toBe("HTTP/1.1 403 Forbidden");
    expect(asked).toEqual(["open", "secret"]);
    const answer = Buffer.concat(bytes).toString();
    expect(answer).not.toMatch(/text\/event-stream/i);
    expect(answer).not.toMatch(/(open|secret) \d/);
    expect(client.events.length).toBe(2);
    expect(hub.stats()).toMatchObject({ replays: 0, channels: 0 });

    // A route that requests only the allowed channels.
    const onlyOpen = new EventClient(port, "/?channels=open");
    onlyOpen.lastEventId = client.lastEventId;
    onlyOpen.connect();
    await eventually("the missed events", () => onlyOpen.events.length >= 20);
    await hub.publish("secret", "secret after");
    await hub.publish("open", "open after");
    await eventually("the last event", () => onlyOpen.events.at(-1)?.data === "open after");
    expect(onlyOpen.events.map(({ data }) => data)).toEqual([
      ...Array.from({ length: 20 }, (_, i) => `open ${i}`),
      "open after",
    ]);
    expect(onlyOpen.resets).toEqual([]);

    // Allowed again, so the events missed meanwhile are available.
    allowed.add("secret");
    client.connect();
    await eventually("all that was missed", () => client.events.length >= 44);
    expect(client.events.map(({ data }) => data)).toEqual([
      "open before",
      "secret before",
      ...Array.from({ length: 20 }, (_, i) => [`open ${i}`, `secret ${i}`]).flat(),
      "secret after",
      "open after",
    ]);
    onlyOpen.cut("fin");
    client.cut("fin");
  });
});

it(
  "closes streams within maxStreamMs, and their clients return without losing an event",
  { timeout: 30_000 },
  async () => {
    const maxStreamMs = 2_550;
    const count = 2_000;
    const ages: number[] = [];
    const held = monitorEventLoopDelay({ resolution: 10 });
    held.enable();
    const { hub, port } = await serve("http", { maxStreamMs, reconnectionTimeMs: 100 });
    const clients = Array.from({ length: 20 }, () => new EventClient(port, "/?channels=news"));
    const tallies = clients.map((client) => new Tally(client));
    const openedAt = new Map<EventClient, number>();
    let isOver = false;
    for (const client of clients) {
      whenBodyEnds(client, () => {
        ages.push(performance.now() - (openedAt.get(client) ?? 0));
        client.cut("fin");
        setTimeout(() => {
          if (isOver) return;
          openedAt.set(client, performance.now());
          client.connect();
        }, 100);
      });
      openedAt.set(client, performance.now());
    }
    await connectAll(clients);
    await eventually("all to be live", () => hub.stats().sessions.live === clients.length);
    const begin = performance.now();
    for (let sent = 0; sent < count; await pause(5)) {
      for (; sent < Math.min(count, (performance.now() - begin) / 4); sent++) {
        void hub.publish("news", `${sent} 0`);
      }
    }
    await eventually("all to have all", () =>
      tallies.every(({ numbers }) => numbers.length >= count),
    );
    isOver = true;
    // Some ends may not have reached their clients yet.
    await eventually("all ends", () => hub.stats().closes.expired === ages.length);
    const { closes, replays } = hub.stats();
    for (const client of clients) client.cut("fin");

    console.log(
      `${ages.length} streams of maxStreamMs ${maxStreamMs} ended after ${Math.min(...ages).toFixed(0)} to ${Math.max(...ages).toFixed(0)} ms, ${replays} replays`,
    );
    expect(ages.length).toBeGreaterThan(clients.length);
    expect(closes).toMatchObject({ client: 0, slow: 0, error: 0 });
    expect(Math.min(...ages)).toBeGreaterThanOrEqual(maxStreamMs * 0.8 - 1);
    expect(Math.max(...ages)).toBeLessThan(maxStreamMs + SLACK_MS + held.max / 1e6);
    for (const [i, { numbers }] of tallies.entries()) {
      expect(clients[i]?.resets).toEqual([]);
      expect(faultIn(numbers, 0, count)).toBe("none");
    }
  },
);
