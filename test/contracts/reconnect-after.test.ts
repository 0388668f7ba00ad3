/** The option `reconnectAfter`: how a stream ends if its client should come back. */

import { once } from "node:events";
import http from "node:http";
import type { AddressInfo } from "node:net";
import type { HubOptions, Session } from "@tidewire/core";
import { sse } from "@tidewire/express";
import compression from "compression";
import express from "express";
import { afterEach, describe, expect, it } from "vitest";
import { eventually, request, within } from "../client.js";
import type { StreamClient, Target } from "../client.js";
import { BINDINGS } from "./bindings.js";
import type { Binding, Handler, Served } from "./bindings.js";

const EVENT_STREAM = { accept: "text/event-stream" };
const LAST = "data: the last\n\n";

const closers: (() => unknown)[] = [];
const clients: StreamClient[] = [];

afterEach(async () => {
  for (const client of clients.splice(0)) client.cut();
  for (const close of closers.splice(0)) await close();
});

async function serve(binding: Binding, handler: Handler, options?: HubOptions): Promise<Served> {
  const served = await binding.serve(handler, options);
  closers.push(() => within("the server to close", served.close()));
  return served;
}

async function get(
  served: Target,
  headers: Record<string, string> = EVENT_STREAM,
  paused = false,
): Promise<StreamClient> {
  const client = await request(served, "/", { headers, paused });
  clients.push(client);
  return client;
}

/** How a stream ended, from the client's point of view. */
async function endOf(client: StreamClient): Promise<"in order" | "cut"> {
  await client.rest();
  return client.isBroken ? "cut" : "in order";
}

describe.each(BINDINGS)("$name", (binding) => {
  it("cuts streams on hub.close() and after maxStreamMs, with everything sent before", async () => {
    for (const reason of ["shutdown", "expired"]) {
      const reasons: string[] = [];
      const served = await serve(
        binding,
        ({ sse: session }) => {
          session.onClose((why) => {
            reasons.push(why);
          });
          void session.send("the last");
        },
        { reconnectAfter: "cut", maxStreamMs: reason === "expired" ? 1_000 : false },
      );
      const client = await get(served);
      await client.until(LAST);
      if (reason === "shutdown") await within("close()", served.hub.close(), 1_000);
      expect(await endOf(client)).toBe("cut");
      expect(client.text.endsWith(LAST)).toBe(true);
      expect(reasons).toEqual([reason]);
    }
  });

  it("ends streams in order if the application ends them, or for other clients", async () => {
    const served = await serve(
      binding,
      ({ sse: session, request: { url } }) => {
        void session.send("the last");
        if (url === "/close") session.close();
      },
      { reconnectAfter: "cut" },
    );
    const closed = await request(served, "/close", { headers: EVENT_STREAM });
    const other = await get(served, {});
    await other.until(LAST);
    await served.hub.close();
    expect([await endOf(closed), await endOf(other)]).toEqual(["in order", "in order"]);
  });

  it("follows the option of open(), both ways", async () => {
    for (const [hub, stream, end] of [
      ["cut", "end", "in order"],
      ["end", "cut", "cut"],
    ] as const) {
      const served = await serve(
        binding,
        ({ sse: session }) => void session.open({ reconnectAfter: stream }),
        { reconnectAfter: hub },
      );
      const client = await get(served);
      await client.until("\n\n");
      await served.hub.close();
      expect(await endOf(client)).toBe(end);
    }
  });

  it("waits until the kernel has the last byte, within drainMs", async () => {
    let session: Session | undefined;
    const served = await serve(
      binding,
      ({ sse: own }) => {
        session = own;
        void own.send("x".repeat(8_000_000));
        void own.send("the last");
      },
      { reconnectAfter: "cut", maxEventBytes: 10_000_000, maxBufferedBytes: 100_000_000 },
    );
    const client = await get(served, EVENT_STREAM, true);
    await eventually("the session to back up", () => (session?.bufferedBytes ?? 0) > 1_000_000);
    const closing = served.hub.close({ drainMs: 10_000 });
    expect(session?.closeReason).toBe("shutdown");
    client.resume();
    expect(await endOf(client)).toBe("cut");
    expect(client.text.length).toBeGreaterThan(8_000_000);
    expect(client.text.endsWith(LAST)).toBe(true);
    await within("close(), once the client has everything", closing, 5_000);
  });

  it("cuts a client that reads nothing when drainMs is over", async () => {
    let session: Session | undefined;
    const served = await serve(
      binding,
      ({ sse: own }) => {
        session = own;
        void own.send("x".repeat(8_000_000));
      },
      { reconnectAfter: "cut", maxEventBytes: 10_000_000, maxBufferedBytes: 100_000_000 },
    );
    const client = await get(served, EVENT_STREAM, true);
    await eventually("the session to back up", () => (session?.bufferedBytes ?? 0) > 1_000_000);
    await within("close()", served.hub.close({ drainMs: 500 }), 1_500);
    client.resume();
    expect(await endOf(client)).toBe("cut");
  });
});

it("a compressor passes on the data it holds before the cut", async () => {
  for (const reason of ["shutdown", "expired"]) {
    const app = express();
    const events = sse({
      reconnectAfter: "cut",
      maxStreamMs: reason === "expired" ? 1_000 : false,
    });
    app.use(compression({ threshold: 0, filter: () => true }));
    app.use((_request, response, next) => {
      const { writeHead } = response;
      // Removes `no-transform`, which is what keeps `compression` off.
      response.writeHead = function patched(this: typeof response, status: number) {
        this.setHeader("Cache-Control", "no-cache");
        return writeHead.call(this, status);
      } as typeof writeHead;
      next();
    });
    app.use(events);
    const sessions: Session[] = [];
    app.get("/", (_request, response) => {
      sessions.push(response.sse);
      response.sse.open();
    });
    const server = http.createServer(app).listen(0, "127.0.0.1");
    await once(server, "listening");
    closers.push(
      () => events.hub.close(),
      () => server.close(),
    );
    const target: Target = { port: (server.address() as AddressInfo).port, protocol: "http1" };
    const client = await request(target, "/", {
      headers: { ...EVENT_STREAM, "accept-encoding": "deflate" },
      paused: true,
    });
    clients.push(client);
    client.drop();
    expect(client.headers["content-encoding"]).toBe("deflate");
    await eventually("the first bytes", () => client.receivedBytes > 0);
    const before = client.receivedBytes;
    void sessions[0]?.send("the last");
    if (reason === "shutdown") await within("close()", events.hub.close(), 1_000);
    await within("the end", client.ended);
    expect(client.isBroken).toBe(true);
    expect(client.receivedBytes).toBeGreaterThan(before);
  }
});
