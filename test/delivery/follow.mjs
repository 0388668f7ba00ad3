// How the servers of the suites on replay serve a client: by a session, or, in a second run, by a loop that reads the
// events with `hub.read` and writes them itself. To the client both are the same.

/** Whether clients are served by `hub.read`. */
export const IS_READ = process.env["FOLLOW"] === "read";

/** Serves the clients of a hub. */
export function createFollower(hub, heartbeatMs = 15_000) {
  const resets = { trimmed: 0, unknown: 0, overflow: 0, fork: 0 };
  let open = 0;
  let replays = 0;

  /** Answers a request with the events of channels. */
  function follow(request, response, channels, options = {}) {
    if (IS_READ) void read(request, response, channels, options.latest ?? 0);
    else void hub.createSession({ request, response }).subscribe(channels, options);
  }

  /** Statistics of the hub, in which each client that reads counts as a session. */
  function stats() {
    const all = hub.stats();
    if (!IS_READ) return all;
    return { ...all, sessions: { ...all.sessions, open, live: open }, replays, resets };
  }

  /** Answers a request with the events of channels by `hub.read`, which is called at once. */
  async function read(request, response, channels, latest) {
    const after = lastEventId(request);
    const left = new AbortController();
    response.on("close", () => left.abort());
    const reading = hub.read(channels, { after, latest, signal: left.signal });
    let tail;
    try {
      tail = await hub.position();
    } catch {
      // The hub has closed.
      response.writeHead(503).end();
      return;
    }
    const isBehind = after !== undefined && after !== tail;
    response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
    response.flushHeaders();
    let told;
    const begin = (id) => {
      if (told !== undefined || id === undefined) return;
      clearInterval(first);
      told = id;
      const data = JSON.stringify({ heartbeatMs });
      response.write(`event: sse-cursor\nid: ${id}\ndata: ${data}\n\n`);
    };
    const tell = () => {
      const { position } = reading;
      if (response.writableNeedDrain) return;
      const isNew = position !== undefined && position !== told;
      told = position ?? told;
      response.write(isNew ? `event: sse-cursor\nid: ${position}\ndata: {}\n\n` : ":\n\n");
    };
    const first = setInterval(() => {
      if (reading.position !== undefined) begin(reading.position);
    }, 10);
    if (after === undefined) begin(reading.position);
    const heartbeat = setInterval(tell, heartbeatMs);
    open += 1;
    let isFirst = true;
    for await (const item of reading) {
      if (item.type === "reset") resets[item.reason] += 1;
      else if (isFirst && isBehind) replays += 1;
      if (item.type === "event") begin(after);
      clearInterval(first);
      told = item.id;
      isFirst = false;
      if (!response.write(blockOf(item))) await drained(response, left.signal);
    }
    open -= 1;
    clearInterval(first);
    clearInterval(heartbeat);
    response.end();
  }

  return { follow, read, stats };
}

function lastEventId(request) {
  const header = request.headers["last-event-id"];
  if (header !== undefined && header !== "") return Buffer.from(header, "latin1").toString();
  return new URL(request.url, "http://node").searchParams.get("lastEventId") ?? undefined;
}

function blockOf(item) {
  if (item.type === "reset") {
    const { reason, channels, id } = item;
    return `event: sse-reset\nid: ${id}\ndata: ${JSON.stringify({ reason, channels })}\n\n`;
  }
  const { event, id, data } = item;
  const text = typeof data === "string" ? data : JSON.stringify(data);
  const type = event === "message" ? "" : `event: ${event}\n`;
  return `${type}id: ${id}\ndata: ${text.replaceAll("\n", "\ndata: ")}\n\n`;
}

function drained(response, signal) {
  return new Promise((resolve) => {
    const settle = () => {
      response.off("drain", settle);
      signal.removeEventListener("abort", settle);
      resolve();
    };
    response.on("drain", settle);
    signal.addEventListener("abort", settle);
    if (signal.aborted) settle();
  });
}
