// Compares how libraries treat a client that was away, one that has stopped reading, and bad input:
// `node bench/dist/behaviour.js`. Prints the table of README.md as Markdown.

import { get } from "node:http";
import type { ClientRequest, IncomingMessage } from "node:http";
import { setTimeout as wait } from "node:timers/promises";
import { createParser } from "eventsource-parser";
import type { EventSourceMessage } from "eventsource-parser";
import { LIBRARIES } from "./behaviour-protocol.js";
import type { BehaviourServer, Library } from "./behaviour-protocol.js";
import { readVersions } from "./machine.js";
import { Remote } from "./remote.js";

/** Long enough for everything that is on its way to arrive. */
const SETTLED_MS = 500;
/** More than each of the libraries keeps by default. */
const TOO_MANY = 101_000;
const STALLED = 4;
/** More bytes than each of the libraries keeps for replay by default. */
const STALLED_EVENTS = 2_048;
const STALLED_BYTES = 65_536;
/** Longer than each of the libraries waits for a client by default. */
const PATIENCE_MS = 45_000;

/** One client, with a parser that follows the standard. */
class Client {
  readonly events: EventSourceMessage[] = [];
  /** Whatever has come, heartbeats included. */
  bytes = 0;
  lastEventId = "";
  readonly #request: ClientRequest;
  #response: IncomingMessage | undefined;

  private constructor(port: number, lastEventId: string) {
    const parser = createParser({
      onEvent: (event) => {
        this.events.push(event);
        if (event.id !== undefined) this.lastEventId = event.id;
      },
    });
    const headers = {
      Accept: "text/event-stream",
      ...(lastEventId === "" ? {} : { "Last-Event-ID": lastEventId }),
    };
    this.#request = get({ port, path: "/events", headers, agent: false }, (response) => {
      this.#response = response;
      response.setEncoding("utf8").on("data", (text: string) => {
        this.bytes += text.length;
        parser.feed(text);
      });
      response.on("error", ignoreCut);
    });
    this.#request.on("error", ignoreCut);
  }

  static async open(port: number, lastEventId = ""): Promise<Client> {
    const client = new Client(port, lastEventId);
    await wait(SETTLED_MS);
    return client;
  }

  /** Events that the application has published, and what the library says of those that it has not sent. */
  get published(): EventSourceMessage[] {
    return this.events.filter(({ event }) => event === "price" || event === "sse-reset");
  }

  /** Waits until nothing has come for a while. */
  async settled(): Promise<void> {
    for (let before = -1; before !== this.events.length;) {
      before = this.events.length;
      await wait(SETTLED_MS);
    }
  }

  stopReading(): void {
    this.#response?.pause();
  }

  cut(): void {
    this.#request.destroy();
  }
}

/** A client that cuts its own connection gets this error. */
function ignoreCut(error: NodeJS.ErrnoException): void {
  if (error.code !== "ECONNRESET") throw error;
}

/** Runs something against a fresh server of a library. */
async function withServer<Result>(
  library: Library,
  run: (server: Remote<BehaviourServer>, port: number) => Promise<Result>,
): Promise<Result> {
  const program = new URL("behaviour-process.js", import.meta.url);
  const server = new Remote<BehaviourServer>(library, program, ["--expose-gc"]);
  try {
    const { port } = await server.call("start", library);
    return await run(server, port);
  } finally {
    await server.stop();
  }
}

/** Three events while the client is away for a moment. */
function shortAbsence(library: Library): Promise<string> {
  return withServer(library, async (server, port) => {
    const before = await Client.open(port);
    await server.call("publish", { id: "1", event: "price", data: "1" });
    await before.settled();
    before.cut();
    await wait(SETTLED_MS);
    for (const id of ["2", "3", "4"])
      await server.call("publish", { id, event: "price", data: id });
    const after = await Client.open(port, before.lastEventId);
    await after.settled();
    after.cut();
    return `${after.published.length} of 3`;
  });
}

/** More events than the library keeps. */
function longAbsence(library: Library): Promise<string> {
  return withServer(library, async (server, port) => {
    const before = await Client.open(port);
    await server.call("publish", { id: "1", event: "price", data: "1" });
    await before.settled();
    before.cut();
    await wait(SETTLED_MS);
    await server.call("publishMany", { first: 2, count: TOO_MANY, bytes: 10 });
    const after = await Client.open(port, before.lastEventId);
    await after.settled();
    after.cut();
    const reset = after.published.find(({ event }) => event === "sse-reset");
    if (reset !== undefined) return `\`${reset.event}\``;
    const { length } = after.published;
    return length === 0 ? "no hint" : `the last ${length}, no hint`;
  });
}

/** Clients that stop reading while 128 MiB are published. */
async function stalledClients(library: Library): Promise<{ memory: string; closed: string }> {
  const bytes = await withServer(library, async (server) => {
    await server.call("publishMany", order);
    return server.call("memory", null);
  });
  return withServer(library, async (server, port) => {
    const clients: Client[] = [];
    for (let count = 0; count < STALLED; count++) clients.push(await Client.open(port));
    for (const client of clients) client.stopReading();
    await server.call("publishMany", order);
    await wait(1_000);
    const more = (await server.call("memory", null)) - bytes;
    await wait(PATIENCE_MS);
    const open = await server.call("connections", null);
    for (const client of clients) client.cut();
    return {
      memory: `${Math.round(more / 1_048_576)} MiB`,
      closed: open === 0 ? "yes" : "no",
    };
  });
}

const order = { first: 1, count: STALLED_EVENTS, bytes: STALLED_BYTES };

/** A stream on which nothing is published. */
function silence(library: Library): Promise<string> {
  return withServer(library, async (_server, port) => {
    const client = await Client.open(port);
    const { bytes } = client;
    await wait(PATIENCE_MS);
    client.cut();
    return client.bytes > bytes ? "yes" : "no";
  });
}

/** Data with every kind of line break, and a line that looks like a field. */
function lineBreaks(library: Library): Promise<string> {
  return withServer(library, async (server, port) => {
    const client = await Client.open(port);
    await server.call("publish", {
      id: "1",
      event: "price",
      data: "one\r\ntwo\r\rdata: three\n\nfour",
    });
    await client.settled();
    client.cut();
    const [first, ...others] = client.published;
    const isWhole = others.length === 0 && first?.data.includes("four") === true;
    return isWhole ? "one event" : "broken up";
  });
}

/** An event type from outside that would add another field. */
function badType(library: Library): Promise<string> {
  return withServer(library, async (server, port) => {
    const client = await Client.open(port);
    const error = await server.call("publish", {
      id: "1",
      event: "price\ndata: injected",
      data: "1",
    });
    await client.settled();
    client.cut();
    if (error !== undefined) return "throws";
    const isInjected = client.events.some(({ data }) => data.includes("injected"));
    return isInjected ? "injects a field" : "sends something else";
  });
}

async function behaviourOf(library: Library): Promise<Record<string, string>> {
  const [quiet, stalled] = await Promise.all([silence(library), stalledClients(library)]);
  return {
    "a client is away for 3 events: it gets": await shortAbsence(library),
    [`away for ${TOO_MANY.toLocaleString("en").replace(",", " ")} events: it gets`]:
      await longAbsence(library),
    [`${STALLED} clients stop reading, 128 MiB are published: memory for them`]: stalled.memory,
    "these clients are closed within 45 s": stalled.closed,
    "heartbeats by default": quiet,
    "data with CR, LF and CRLF": await lineBreaks(library),
    "event type with a line break": await badType(library),
  };
}

const versions = await readVersions();
const columns: Record<string, string>[] = [];
for (const library of LIBRARIES) {
  console.error(library);
  columns.push(await behaviourOf(library));
}
const rows = Object.keys(columns[0] ?? {});
console.log(`Node ${process.version}\n`);
console.log(`| | ${LIBRARIES.map((name) => `${name} ${versions[name]}`).join(" | ")} |`);
console.log(`|---|${LIBRARIES.map(() => "---|").join("")}`);
for (const row of rows) {
  console.log(`| ${row} | ${columns.map((column) => column[row]).join(" | ")} |`);
}
