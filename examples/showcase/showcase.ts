import { createHub } from "@tidewire/core";
import type { SseMessage } from "@tidewire/core";
import { createRuns } from "@tidewire/runs";
import type { Channels } from "./channels.js";
import { Clients } from "./clients.js";
import { startClock } from "./clock.js";
import type { ServerAddress } from "./demo-server.js";
import { createExpressServer } from "./express-server.js";
import { createFastifyServer } from "./fastify-server.js";
import { readUser } from "./input.js";
import { startStats } from "./stats.js";
import { startWeather } from "./weather.js";

/** A running showcase: one hub, the sources that publish on it, and two servers. */
export interface Showcase {
  stop(): Promise<void>;
}

/**
 * Starts the showcase.
 *
 * @param restart - Called when a page asks for a restart.
 * @returns Rejects if a port is taken.
 */
export async function startShowcase(
  express: ServerAddress,
  fastify: ServerAddress,
  restart: () => void,
): Promise<Showcase> {
  // The pages of both servers may read the streams of either, with cookies.
  const origin = [express, fastify].flatMap(({ port }) => [
    `http://localhost:${port}`,
    `http://127.0.0.1:${port}`,
  ]);
  const hub = createHub<Channels>({
    // POST is for /text, which a page of the other server may call too.
    cors: { origin, credentials: true, methods: ["GET", "POST"] },
    // Stands in for a login. Requests of both frameworks have a URL.
    identify: ({ url }) => readUser(url)?.toLowerCase(),
    // Every page is subscribed to the news.
    presence: { channels: (channel) => channel === "news", lingerMs: 5_000 },
    // Shorter than the default, for people who press a button and wait.
    reconnectionTimeMs: 1_000,
    // Headlines are rare, and a new page shows the last five.
    retention: { maxAgeMs: 3_600_000 },
  });

  const stopClock = startClock((data) => void hub.publish("clock", { event: "time", data }));
  const weather = startWeather((data) => void hub.publish("weather", { event: "weather", data }));
  const stats = startStats(hub, (data) => void hub.publish("stats", { event: "stats", data }));

  const clients = new Clients(function* (): Iterable<SseMessage> {
    for (const data of weather.current()) yield { event: "weather", data };
    yield { event: "history", data: stats.history() };
  });
  // A text that no page has read for two minutes is stopped.
  const runs = createRuns({ abandonMs: 120_000 });
  const setting = { hub, runs, clients, restart };
  const servers = [
    createExpressServer({ ...setting, self: express, other: fastify }),
    await createFastifyServer({ ...setting, self: fastify, other: express }),
  ];

  const stop = async (): Promise<void> => {
    stopClock();
    weather.stop();
    stats.stop();
    // Before the hub, so that pages learn that their text is lost.
    await runs.close();
    // Before the servers, whose close() waits for open streams, which do not end by themselves.
    await hub.close();
    await Promise.all(servers.map((server) => server.stop()));
  };
  for (const server of servers) await server.start();
  // A first page also has something to show.
  const headline = {
    at: new Date().toISOString(),
    text: "This headline is older than your tab",
    by: "the showcase",
  };
  await hub.publish("news", { event: "headline", data: headline });
  return { stop };
}
