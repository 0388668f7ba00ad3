// The server of the tests of memory and leaks of runs, in a separate process. Run with --expose-gc.
//
//   POST /<key>?items=…&bytes=…   starts a run of so many items of so many bytes; without `items`, one that does not end
//   GET /<key>                    follows it
import http from "node:http";
import { createHub } from "@tidewire/core";
import { createRuns } from "@tidewire/runs";

const seen = { reasons: {}, peakRss: 0, taken: 0, sourceEnds: 0, bufferedAtClose: 0 };
const hub = createHub({ stallTimeoutMs: 60_000 });
const runs = createRuns({ keepMs: 1_000, maxRuns: 10_000, maxBytes: 64 * 1024 * 1024 });

async function* produce(count, bytes, signal) {
  try {
    for (let number = 1; number <= count; number++) {
      seen.taken += bytes;
      yield String(number).padEnd(bytes, "x");
    }
    if (count === Infinity)
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
  } finally {
    seen.sourceEnds += 1;
  }
}

async function* wait(signal) {
  yield "first";
  await new Promise((resolve) => signal.addEventListener("abort", resolve));
  seen.sourceEnds += 1;
}

const server = http.createServer(async (request, response) => {
  const { pathname, searchParams } = new URL(request.url, "http://localhost");
  const key = pathname.slice(1);
  if (request.method === "POST") {
    const items = searchParams.get("items");
    const bytes = Number(searchParams.get("bytes"));
    await runs.start(
      key,
      ({ signal }) => (items === null ? wait(signal) : produce(Number(items), bytes, signal)),
      { keepMs: Number(searchParams.get("keepMs") ?? 1_000) },
    );
    response.end();
    return;
  }
  if (request.method === "DELETE") {
    response.end(String(await runs.stop(key)));
    return;
  }
  const session = hub.createSession({ request, response });
  session.onClose((reason) => {
    seen.reasons[reason] = (seen.reasons[reason] ?? 0) + 1;
  });
  await runs.follow(key, session, { end: () => "[DONE]" });
});
server.listen(0, "127.0.0.1", () => process.send({ port: server.address().port }));

function watchMemory() {
  seen.peakRss = Math.max(seen.peakRss, process.memoryUsage.rss());
}
const watching = setInterval(watchMemory, 20);

async function report() {
  globalThis.gc();
  const connections = await new Promise((resolve) => {
    server.getConnections((_error, count) => resolve(count));
  });
  const resources = {};
  for (const name of process.getActiveResourcesInfo()) resources[name] = (resources[name] ?? 0) + 1;
  watchMemory();
  // Buffers are freed after the collection that finds them.
  await new Promise(setImmediate);
  globalThis.gc();
  const { heapUsed, external } = process.memoryUsage();
  return {
    ...seen,
    sessions: hub.sessionCount,
    connections,
    resources,
    listeners: server.eventNames().reduce((sum, name) => sum + server.listenerCount(name), 0),
    heapUsed: heapUsed + external,
    rss: process.memoryUsage.rss(),
    runs: (await runs.list({ limit: 100_000 })).length,
  };
}

process.on("message", async (message) => {
  if (message === "report") process.send(await report());
  if (message === "close") {
    clearInterval(watching);
    await runs.close();
    await hub.close();
    server.closeAllConnections();
    await new Promise((resolve) => {
      server.close(resolve);
    });
    process.send({ closed: true });
    process.disconnect();
  }
});
