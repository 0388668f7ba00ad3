import type { ServerAddress } from "./demo-server.js";
import { createExpressServer } from "./express-server.js";
import { createFastifyServer } from "./fastify-server.js";
import { startFeed } from "./feed.js";

const port = Number(process.env["PORT"] ?? 3000);
if (!Number.isInteger(port) || port < 1 || port > 65_534) {
  fail(
    `Expected PORT to be a whole number from 1 to 65534, got ${JSON.stringify(process.env["PORT"])}.`,
  );
}

const express: ServerAddress = { name: "Express", port };
const fastify: ServerAddress = { name: "Fastify", port: port + 1 };
const feed = startFeed();
const servers = [
  createExpressServer({ feed, self: express, other: fastify }),
  await createFastifyServer({ feed, self: fastify, other: express }),
];

try {
  for (const server of servers) await server.start();
} catch (error) {
  const { code, port: taken } = error as NodeJS.ErrnoException & { port?: number };
  if (code !== "EADDRINUSE") throw error;
  fail(
    `Port ${taken} is taken: stop what listens there, or set PORT to a port that is free and whose next one is too.`,
  );
}

console.log(`Express  http://localhost:${express.port}`);
console.log(`Fastify  http://localhost:${fastify.port}`);
console.log("Stop with Ctrl-C.");

process.once("SIGINT", stop);
process.once("SIGTERM", stop);

async function stop(): Promise<void> {
  feed.stop();
  await Promise.all(servers.map((server) => server.stop()));
}

function fail(message: string): never {
  console.error(message);
  process.exit(1);
}
