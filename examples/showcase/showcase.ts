import { createHub } from "@tidewire/core";
import type { SseMessage } from "@tidewire/core";
import type { Channels } from "./channels.js";
import { Clients } from "./clients.js";
import { startClock } from "./clock.js";
import type { ServerAddress } from "./demo-server.js";
import { createExpressServer } from "./express-server.js";
import { createFastifyServer } from "./fastify-server.js";
import { startStats } from "./stats.js";
import { startWeather } from "./weather.js";

/** The showcase as it runs: one hub, what is published on it, and the two servers that it serves. */
export interface Showcase {
  stop(): Promise<void>;
}

/**
 * Starts the showcase.
 *
 * @param restart - Called when somebody wants it stopped and started anew.
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
    // POST is for /text; without it a page of the other server could only listen.
    cors: { origin, credentials: true, methods: ["GET", "POST"] },
    // Headlines are few and may be asked for late.
    retention: { maxAgeMs: 3_600_000 },
  });

  const stopClock = startClock((data) => void hub.publish("clock", { event: "time", data }));
  const weather = startWeather((data) => void hub.publish("weather", { event: "weather", data }));
  const stats = startStats(hub, (data) => void hub.publish("stats", { event: "stats", data }));

  const clients = new Clients(function* (): Iterable<SseMessage> {
    for (const data of weather.current()) yield { event: "weather", data };
    yield { event: "history", data: stats.history() };
  });
  const setting = { hub, clients, restart };
  const servers = [
    createExpressServer({ ...setting, self: express, other: fastify }),
    await createFastifyServer({ ...setting, self: fastify, other: express }),
  ];

  const stop = async (): Promise<void> => {
    stopClock();
    weather.stop();
    stats.stop();
    // First of all: a server's close() waits for streams that never end by themselves.
    await hub.close();
    await Promise.all(servers.map((server) => server.stop()));
  };
  for (const server of servers) await server.start();
  return { stop };
}
