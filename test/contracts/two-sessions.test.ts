import { once } from "node:events";
import http from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createHub } from "@tidewire/core";
import type { Hub, HubOptions, Session } from "@tidewire/core";
import { afterEach, describe, expect, it } from "vitest";
import { eventually, request } from "../client.js";
import type { StreamClient } from "../client.js";

const closers: (() => Promise<unknown> | void)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

function makeHub(options: HubOptions = {}): Hub {
  const hub = createHub({ reconnectionTimeMs: false, ...options });
  closers.push(() => hub.close());
  return hub;
}

async function get(
  handler: (request: IncomingMessage, response: ServerResponse) => unknown,
): Promise<StreamClient> {
  const server = http.createServer((incoming, response) => void handler(incoming, response));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  closers.push(
    () =>
      new Promise((resolve) => {
        server.close(resolve);
      }),
  );
  const { port } = server.address() as { port: number };
  const client = await request({ port, protocol: "http1" }, "/");
  closers.push(() => client.cut());
  return client;
}

/** The error code that a function throws. */
function codeOf(run: () => unknown): unknown {
  try {
    run();
  } catch (error) {
    return (error as { readonly code?: unknown }).code;
  }
  return "nothing";
}

describe("Several sessions of one response", () => {
  it.each([0, 1, 2])("leave the response to the first that opens: number %i", async (chosen) => {
    const hubs = [makeHub(), makeHub(), makeHub()];
    const sessions: Session[] = [];
    const client = await get((incoming, response) => {
      sessions.push(...hubs.map((hub) => hub.createSession({ request: incoming, response })));
      void sessions[chosen]?.subscribe("news");
    });
    await client.until("sse-cursor");
    for (const [index, hub] of hubs.entries()) {
      expect(hub.sessionCount).toBe(index === chosen ? 1 : 0);
      await hub.publish("news", `from ${index}`);
    }
    expect(await client.until(`data: from ${chosen}\n`)).not.toMatch(
      new RegExp(`data: from [^${chosen}]`),
    );
  });

  it("may also belong to one hub", async () => {
    const hub = makeHub();
    const client = await get((incoming, response) => {
      hub.createSession({ request: incoming, response });
      void hub.createSession({ request: incoming, response }).send("hello");
    });
    await client.until("data: hello\n");
    expect(hub.sessionCount).toBe(1);
  });

  it("are all notified of the end, once each", async () => {
    const [first, second, third] = [makeHub(), makeHub(), makeHub()];
    const reasons: string[] = [];
    const client = await get((incoming, response) => {
      for (const [name, hub] of Object.entries({ first, second, third })) {
        const session = hub.createSession({ request: incoming, response });
        session.onClose((reason) => void reasons.push(`${name} ${reason}`));
        if (name === "second") session.open();
      }
    });
    await client.until(":\n\n");
    client.cut();
    await eventually("all to hear", () => reasons.length === 3);
    expect(reasons.toSorted()).toEqual(["first client", "second client", "third client"]);
  });

  it("are all notified of a response that they have not opened", async () => {
    const [first, second] = [makeHub(), makeHub()];
    const reasons: string[] = [];
    await get((incoming, response) => {
      for (const hub of [first, second]) {
        const session = hub.createSession({ request: incoming, response });
        session.onClose((reason) => void reasons.push(reason));
      }
      response.end("an ordinary answer");
    });
    await eventually("all to hear", () => reasons.length === 2);
    expect(reasons).toEqual(["ended", "ended"]);
  });

  it("open no second stream, even while the first waits for CORS", async () => {
    const first = makeHub({
      cors: { origin: (_origin, callback) => setImmediate(() => callback(null, true)) },
    });
    const second = makeHub();
    const codes: unknown[] = [];
    const client = await get((incoming, response) => {
      const held = first.createSession({ request: incoming, response });
      const other = second.createSession({ request: incoming, response });
      void held.send("held");
      codes.push(codeOf(() => other.open()));
      codes.push(codeOf(() => other.subscribe("news")));
      codes.push(codeOf(() => other.send("x")));
      // Reading a session commits nothing and never throws, whatever the state of the response.
      codes.push(second.createSession({ request: incoming, response }).state);
    });
    await client.until("data: held\n");
    expect(codes).toEqual([
      "ERR_SSE_HEADERS_SENT",
      "ERR_SSE_HEADERS_SENT",
      "ERR_SSE_HEADERS_SENT",
      "idle",
    ]);
    expect(second.sessionCount).toBe(0);
  });
});
