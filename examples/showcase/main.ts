import type { ServerAddress } from "./demo-server.js";
import { startShowcase } from "./showcase.js";
import type { Showcase } from "./showcase.js";

const port = Number(process.env["PORT"] ?? 3000);
if (!Number.isInteger(port) || port < 1 || port > 65_534) {
  fail(
    `Expected PORT to be a whole number from 1 to 65534, got ${JSON.stringify(process.env["PORT"])}.`,
  );
}

const express: ServerAddress = { name: "Express", port };
const fastify: ServerAddress = { name: "Fastify", port: port + 1 };

/** The showcase that is running or starting. */
let running = start();
let isRestarting = false;

await running;
console.log(`Express  http://localhost:${express.port}`);
console.log(`Fastify  http://localhost:${fastify.port}`);
console.log("Stop with Ctrl-C.");

process.once("SIGINT", stop);
process.once("SIGTERM", stop);

async function start(): Promise<Showcase> {
  try {
    return await startShowcase(express, fastify, () => void restart());
  } catch (error) {
    const { code, port: taken } = error as NodeJS.ErrnoException & { port?: number };
    if (code !== "EADDRINUSE") throw error;
    return fail(
      `Port ${taken} is taken: stop what listens there, or set PORT to a port that is free and whose next one is too.`,
    );
  }
}

/** Starts a new hub with an empty log, which does not know the IDs that clients come back with. */
async function restart(): Promise<void> {
  if (isRestarting) return;
  isRestarting = true;
  const last = await running;
  running = last.stop().then(start);
  await running;
  isRestarting = false;
  console.log("Restarted.");
}

async function stop(): Promise<void> {
  // Prevents another restart. A restart in progress has to finish before it can be stopped.
  isRestarting = true;
  const last = await running;
  await last.stop();
}

function fail(message: string): never {
  console.error(message);
  process.exit(1);
}
