// A node with runs in a separate process: it produces runs on request, and `GET /?key=a` follows one. With a journal it
// records what it does in a file first, so that a kill removes nothing from what is known.
import fs from "node:fs";
import http from "node:http";
import { setTimeout } from "node:timers/promises";
import { createHub } from "@tidewire/core";
import { redisTapes } from "@tidewire/redis";
import { createRuns } from "@tidewire/runs";
import { makeClient } from "./clients.mjs";

const { tapes, client, runs: runsOptions, journal } = JSON.parse(process.argv[2]);
const notes = [];
const errors = [];
const file = journal && fs.openSync(journal, "a");
function note(/** @type {unknown[]} */ ...line) {
  notes.push([...line, Date.now()]);
  if (file) fs.writeSync(file, `${JSON.stringify(notes.at(-1))}\n`);
}

const runs = createRuns({
  ...runsOptions,
  tapes: redisTapes({
    ...tapes,
    ...(client && { client: makeClient(client.library, client.place) }),
    onError: (error) => errors.push(`redis: ${String(error)}`),
  }),
  onError: (error, { stage, key }) => errors.push(`${stage} ${key}: ${String(error)}`),
});
const hub = createHub();

const server = http.createServer(async (request, response) => {
  const key = new URL(request.url, "http://node").searchParams.get("key");
  const end = ({ outcome }) => ({ event: "end", data: outcome });
  await runs.follow(key, hub.createSession({ request, response }), { end });
});
server.listen(0, "127.0.0.1", () => process.send({ port: server.address().port }));

/** The number of each item is in its data, with the run: it cannot be mistaken for one of another run. */
function produce({ key, count = Infinity, everyMs, bytes = 0 }) {
  return async function* source({ runId, signal }) {
    note("begin", key, runId);
    signal.addEventListener("abort", () => note("abort", key, runId, signal.reason.cause));
    const startedAt = performance.now();
    for (let number = 1; number <= count; number++) {
      yield { data: `${runId}:${number}${"x".repeat(bytes)}` };
      const waitMs = startedAt + number * everyMs - performance.now();
      // A source that ignores its signal may go on.
      if (waitMs > 1) await setTimeout(waitMs);
    }
    note("done", key, runId);
  };
}

const commands = {
  start: async (options) => runs.start(options.key, produce(options), options.limits),
  stop: async (key) => runs.stop(key),
  state: async (key) => runs.state(key),
  report: async () => ({
    notes,
    errors,
    resources: process.getActiveResourcesInfo(),
    rss: process.memoryUsage().rss,
  }),
  closeRuns: async (options) => runs.close(options),
  close: async () => {
    await runs.close();
    await hub.close();
    server.close();
    server.closeAllConnections();
    process.disconnect();
  },
};

process.on("message", async ({ id, command, argument }) => {
  const result = await commands[command](argument).catch((error) => ({ code: error.code }));
  if (process.connected) process.send({ id, result });
});
process.on("disconnect", () => process.exit());
