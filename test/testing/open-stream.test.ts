import { once } from "node:events";
import fs from "node:fs";
import http from "node:http";
import http2 from "node:http2";
import https from "node:https";
import os from "node:os";
import { join } from "node:path";
import zlib from "node:zlib";
import { createHub } from "@tidewire/core";
import type { ChannelMap, Hub, SnapshotMessages } from "@tidewire/core";
import { createHub as createExpressHub, sse, sseHandler } from "@tidewire/express";
import { sseHandler as fastifyHandler, ssePlugin } from "@tidewire/fastify";
import { StreamError, injectStream, openStream } from "@tidewire/testing";
import type { StreamTarget, TestStream } from "@tidewire/testing";
import express from "express";
import Fastify from "fastify";
import { afterEach, describe, expect, it, onTestFinished } from "vitest";
import { makeCertificate } from "../certificate.js";
import { gate } from "../delivery/served.js";

interface Served {
  readonly hub: Pick<Hub, "publish" | "close" | "sessionCount">;
  readonly open: (path: string, options?: object) => Promise<TestStream>;
}

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

function serveExpress(slow = gate()): { app: express.Express; hub: Served["hub"] } {
  const app = express();
  const hub = createExpressHub({ heartbeatMs: 1_000, reconnectionTimeMs: 2_000 });
  closers.push(() => hub.close());
  app.use(sse({ hub }));
  app.get("/news", sseHandler("news"));
  app.get("/plain", (_req, res) => res.sse.open());
  app.post("/echo", express.json(), async (req, res) => {
    await res.sse.send({ event: "echo", data: [req.body, req.get("cookie")] });
    await res.sse.complete("[DONE]");
  });
  app.get("/slow", (_req, res) => {
    const snapshot = async (): Promise<SnapshotMessages<ChannelMap>> => {
      await slow.opened;
      return [{ event: "all", data: [] }];
    };
    void res.sse.subscribe("news", { snapshot });
  });
  app.get("/silent", () => {});
  app.get("/cat", (_req, res) => void res.status(418).send("I am a teapot"));
  return { app, hub };
}

async function serveFastify(): Promise<{ app: ReturnType<typeof Fastify>; hub: Served["hub"] }> {
  const app = Fastify({ return503OnClosing: false });
  closers.push(() => app.close());
  await app.register(ssePlugin, { heartbeatMs: 1_000 });
  app.get("/news", fastifyHandler("news"));
  return { app, hub: app.sse };
}

const TARGETS: Record<string, () => Promise<Served>> = {
  "an Express application": async () => {
    const { app, hub } = serveExpress();
    return { hub, open: (path, options) => openStream(app, path, options) };
  },
  "a Fastify instance": async () => {
    const { app, hub } = await serveFastify();
    return { hub, open: (path, options) => openStream(app, path, options) };
  },
  "a Fastify instance that listens": async () => {
    const { app, hub } = await serveFastify();
    await app.listen({ port: 0 });
    return { hub, open: (path, options) => openStream(app, path, options) };
  },
  "inject of a Fastify instance": async () => {
    const { app, hub } = await serveFastify();
    return { hub, open: (path, options) => injectStream(app, path, options) };
  },
  "a server of node:http": async () => {
    const hub = createHub();
    closers.push(() => hub.close());
    const server = http.createServer((request, response) => {
      void hub.createSession({ request, response }).subscribe("news");
    });
    return { hub, open: (path, options) => openStream(server, path, options) };
  },
  "a URL": async () => {
    const { app, hub } = serveExpress();
    const server = app.listen(0);
    await once(server, "listening");
    closers.push(() => server.close().closeAllConnections());
    const { port } = server.address() as { port: number };
    return { hub, open: (path, options) => openStream(`http://localhost:${port}`, path, options) };
  },
};

describe.each(Object.entries(TARGETS))("A stream of %s", (_name, serve) => {
  async function open(): Promise<Served & { stream: TestStream }> {
    const served = await serve();
    const stream = await served.open("/news");
    onTestFinished(() => stream.close());
    return { ...served, stream };
  }

  it("is subscribed once it is open, and hands on events one by one", async () => {
    const { hub, stream } = await open();
    const { id } = await hub.publish("news", { event: "headline", data: { title: "High water" } });
    await hub.publish("news", "text");
    expect(await stream.next("headline")).toMatchObject({
      event: "headline",
      data: { title: "High water" },
      text: '{"title":"High water"}',
      id,
    });
    expect(await stream.next()).toMatchObject({ event: "message", data: "text" });
    expect(stream.events).toHaveLength(2);
    await stream.quiet(50);
  });

  it("resumes after a cut with what it has missed, on the same handle", async () => {
    const { hub, stream } = await open();
    await hub.publish("news", "1");
    await stream.next();
    for (const how of ["fin", "rst"] as const) {
      stream.cut(how);
      expect(stream.isOpen).toBe(false);
      await hub.publish("news", how);
      await stream.resume();
      expect(await stream.next()).toMatchObject({ text: how });
    }
    expect(stream.resets).toEqual([]);
    expect(stream.connections).toBe(3);
    expect(stream.events.map(({ text }) => text)).toEqual(["1", "fin", "rst"]);
  });

  it("reads a reset, and begins with a last event ID", async () => {
    const { open: reopen } = await open();
    const back = await reopen("/news", { lastEventId: "from elsewhere é" });
    onTestFinished(() => back.close());
    await expect(back.next(undefined, { withinMs: 10 })).rejects.toThrow(
      "No event within 10 ms (an sse-reset was not taken: unknown)",
    );
    expect(await back.nextReset()).toMatchObject({ reason: "unknown", channels: ["news"] });
    expect(back.resets).toHaveLength(1);
  });

  it("sees the end of the stream, and its session is over once it is closed", async () => {
    const { hub, stream, open: reopen } = await open();
    const other = await reopen("/news");
    await other.close();
    await expect.poll(() => hub.sessionCount).toBe(1);
    await hub.close();
    expect(await stream.ended()).toBe("end");
    expect(stream.completed).toBe(false);
    await expect(stream.next()).rejects.toThrow("the server has ended the stream");
  });
});

describe("A stream", () => {
  it("takes a method, a body, headers and a completed end", async () => {
    const { app } = serveExpress();
    await using stream = await openStream(app, "/echo", {
      body: { n: 1 },
      headers: { Cookie: "user=ada" },
    });
    expect((await stream.next("echo")).data).toEqual([{ n: 1 }, "user=ada"]);
    expect((await stream.next()).data).toBe("[DONE]");
    expect(await stream.ended()).toBe("end");
    expect(stream.completed).toBe(true);
    expect(stream.retry).toBeGreaterThan(0);
  });

  it("without channels is open with its head", async () => {
    const { app } = serveExpress();
    await using stream = await openStream(app, "/plain");
    expect(stream.comments).toEqual([""]);
    await stream.heartbeat();
    await expect(openStream(app, "/plain", { subscribed: true, withinMs: 500 })).rejects.toThrow(
      "the stream has not subscribed within 500 ms",
    );
  });

  it("of a slow snapshot is subscribed before its snapshot, and waits for it if it should", async () => {
    const slow = gate();
    const { app, hub } = serveExpress(slow);
    await using early = await openStream(app, "/slow");
    expect(early.events).toEqual([]);
    const opening = openStream(app, "/slow", { subscribed: true });
    await hub.publish("news", "1");
    slow.open();
    await using late = await opening;
    expect(late.events).not.toEqual([]);
    expect(await early.next()).toMatchObject({ event: "all" });
    expect(await early.next()).toMatchObject({ text: "1" });
    expect(await late.next()).toMatchObject({ event: "all" });
    await hub.publish("news", "2");
    for (const stream of [early, late]) {
      await expect.poll(() => stream.events.at(-1)?.text).toBe("2");
    }
  });

  it("fails with the status and the body of an answer that is no stream", async () => {
    const { app } = serveExpress();
    const failed = openStream(app, "/cat");
    await expect(failed).rejects.toThrow("Expected an event stream, got 418: I am a teapot");
    await expect(failed).rejects.toMatchObject({ status: 418, body: "I am a teapot" });
    await expect(openStream(app, "/none")).rejects.toMatchObject({ status: 404 });
    const completed = openStream(app, "/news", { lastEventId: "~end" });
    await expect(completed).rejects.toMatchObject({ status: 204, body: "" });
  });

  it("fails with what has arrived of an answer that is no stream and does not end", async () => {
    const server = http.createServer((_request, response) => {
      response.writeHead(200, { "Content-Type": "text/plain" }).write("data: one\n\n");
    });
    server.listen(0);
    await once(server, "listening");
    const failed = openStream(server, "/", { withinMs: 200 });
    await expect(failed).rejects.toThrow("Expected an event stream, got 200: data: one");
    await expect(failed).rejects.toMatchObject({ status: 200, body: "data: one\n\n" });
    // The connection is closed, which otherwise keeps the server from closing.
    server.close();
    await once(server, "close");
  });

  it("decodes a compressed answer, and reads its end and its cut", async () => {
    for (const [encoding, compress] of Object.entries({
      gzip: zlib.createGzip,
      deflate: zlib.createDeflate,
      br: zlib.createBrotliCompress,
    })) {
      let end = (): void => {};
      const server = http.createServer(({ url }, response) => {
        const type = url === "/cat" ? "text/plain" : "text/event-stream";
        response.writeHead(200, { "Content-Type": type, "Content-Encoding": encoding });
        const stream = compress();
        stream.pipe(response);
        stream.write("id: 1\ndata: one\n\n");
        stream.flush();
        end = () => void stream.end("data: two\n\n");
        if (url === "/cat") end();
      });
      await using stream = await openStream(server, "/", {
        headers: { "Accept-Encoding": encoding },
      });
      expect(await stream.next()).toMatchObject({ data: "one", id: "1" });
      end();
      expect(await stream.next()).toMatchObject({ data: "two" });
      expect(await stream.ended()).toBe("end");
      await stream.resume();
      expect(await stream.next()).toMatchObject({ data: "one" });
      server.closeAllConnections();
      expect(await stream.ended()).toBe("cut");
      await expect(openStream(server, "/cat")).rejects.toThrow("got 200: id: 1");
    }
  });

  it("whose cursor and reset hold no object hands on what follows", async () => {
    await using stream = await openStream((_request, response) => {
      response.writeHead(200, { "Content-Type": "text/event-stream" });
      for (const event of ["sse-cursor", "sse-reset"]) {
        response.write(`event: ${event}\nid: 1\ndata: null\n\n`);
      }
      response.write("data: one\n\n");
    }, "/");
    expect(await stream.next()).toMatchObject({ data: "one" });
    expect(stream.heartbeatMs).toBeUndefined();
    expect(stream.resets).toMatchObject([{ id: "1" }]);
  });

  it("that sends nothing fails at its deadline, with a line of the test in its stack", async () => {
    const { app } = serveExpress();
    const begun = performance.now();
    const error = await openStream(app, "/silent", { withinMs: 200 }).catch((one: unknown) => one);
    expect(performance.now() - begun).toBeLessThan(2_000);
    expect(error).toBeInstanceOf(StreamError);
    expect((error as Error).message).toMatch(
      /^No answer within 200 ms\n\n +\+\d+ ms {2}GET \/silent$/,
    );
    await using stream = await openStream(app, "/news");
    const soon = { withinMs: 100 };
    const waits = [
      stream.next(undefined, soon),
      stream.next("x", soon),
      stream.nextReset(soon),
      stream.ended(soon),
    ];
    for (const wait of waits) {
      const late = (await wait.then(String, (one: unknown) => one)) as Error;
      expect(late.message).toMatch(/^No .* within 100 ms/);
      expect(late.message).toMatch(
        /200 text\/event-stream[\s\S]*sse-cursor id=\S+ \{"heartbeatMs":1000\}$/,
      );
      expect(late.stack?.split("\n    at ")[1]).toContain("open-stream.test");
    }
    await expect(stream.heartbeat({ withinMs: 50 })).rejects.toThrow(
      "No heartbeat (heartbeatMs: 1000) within 50 ms",
    );
  });

  it("is not quiet if an event comes, has come, or can no longer come", async () => {
    const { app, hub } = serveExpress();
    await using stream = await openStream(app, "/news");
    const quiet = stream.quiet(5_000);
    await hub.publish("news", "1");
    await expect(quiet).rejects.toThrow('Expected 5000 ms of quiet, got "message"');
    await expect(stream.quiet(1)).rejects.toThrow('got "message"');
    await stream.next();
    stream.cut();
    await expect(stream.quiet(1)).rejects.toThrow("the connection is cut");
  });

  it("that is stalled gets everything once it reads again", async () => {
    const { app, hub } = serveExpress();
    await using stream = await openStream(app, "/news", { withinMs: 5_000 });
    stream.stall();
    for (let n = 0; n < 10; n++) await hub.publish("news", "x".repeat(50_000));
    await expect(stream.next(undefined, { withinMs: 100 })).rejects.toThrow("call drain()");
    stream.drain();
    for (let n = 0; n < 10; n++) expect((await stream.next()).text).toHaveLength(50_000);
  });

  it("shares the server of its application with others, which stops with the last one", async () => {
    const { app } = serveExpress();
    const first = await openStream(app, "/news");
    const second = await openStream(app, "/news");
    expect(second.url).toBe(first.url);
    await first.close();
    await first.close();
    await second.heartbeat();
    await second.close();
    await expect(fetch(first.url)).rejects.toThrow("fetch failed");
    const third = await openStream(app, "/news");
    const [again, last] = await Promise.all([
      openStream(app, "/news"),
      third.close().then(() => openStream(app, "/news")),
      third.close(),
    ]);
    for (const stream of [again, last]) {
      expect(stream.isOpen).toBe(true);
      await stream.close();
    }
    await expect(second.next()).rejects.toThrow("the stream is closed");
    await expect(second.resume()).rejects.toThrow("The stream is closed");
  });

  it("reads over TLS from a server of this process, whatever its certificate", async () => {
    const dir = fs.mkdtempSync(join(os.tmpdir(), "tidewire-testing-"));
    closers.push(() => fs.rmSync(dir, { recursive: true }));
    const { key, cert } = makeCertificate(dir);
    const certificate = { key: fs.readFileSync(key), cert: fs.readFileSync(cert) };
    const hub = createHub();
    closers.push(() => hub.close());
    const server = https.createServer(certificate, (request, response) => {
      void hub.createSession({ request, response }).subscribe("news");
    });
    await using stream = await openStream(server, "/news");
    expect(stream.url).toMatch(/^https:/);
    await hub.publish("news", "1");
    await stream.next();
  });

  it("goes through inject like a slow client", async () => {
    const { app, hub } = await serveFastify();
    await using stream = await injectStream(app, "/news");
    stream.stall();
    for (let n = 0; n < 5; n++) await hub.publish("news", "x".repeat(50_000));
    await expect.poll(() => app.sse.stats().sessions.behind).toBe(1);
    stream.drain();
    for (let n = 0; n < 5; n++) expect((await stream.next()).text).toHaveLength(50_000);
    await expect.poll(() => app.sse.stats().sessions.behind).toBe(0);
  });

  it("knows the events of its channels", async () => {
    interface Channels {
      readonly news: { readonly headline: { readonly title: string; readonly at: Date } };
      readonly [order: `order:${string}`]: { readonly paid: { readonly id: number } };
    }
    const { app, hub } = serveExpress();
    await using stream = await openStream<Channels>(app, "/news");
    await hub.publish("news", {
      event: "headline",
      data: { title: "High water", at: new Date(0) },
    });
    const { event, data } = await stream.next("headline");
    // A date arrives as its string.
    expect([
      event satisfies "headline",
      data.title satisfies string,
      data.at satisfies string,
    ]).toEqual(["headline", "High water", "1970-01-01T00:00:00.000Z"]);
    const any = stream.next(undefined, { withinMs: 1 });
    const other = stream.next("paid", { withinMs: 1 });
    // @ts-expect-error -- no such event
    const unknown = stream.next("headlines", { withinMs: 1 });
    const all = await Promise.allSettled([any, other, unknown]);
    expect(all.map(({ status }) => status)).toEqual(["rejected", "rejected", "rejected"]);
    const types = (): unknown => any.then((one) => one.event satisfies "headline" | "paid");
    expect(types).toBeTypeOf("function");
  });

  it("refuses what it cannot open", async () => {
    const { app } = serveExpress();
    const open = (...given: unknown[]): Promise<unknown> =>
      openStream(...(given as [StreamTarget, string]));
    for (const given of [
      [undefined, "/"],
      [{}, "/"],
      ["localhost", "/"],
      [http2.createServer(), "/"],
      [app, "news"],
      [app, "/news", { within: 5 }],
      [app, "/news", { withinMs: 0 }],
      [app, "/news", { headers: 1 }],
    ]) {
      await expect(open(...given)).rejects.toMatchObject({ code: "ERR_SSE_INVALID_OPTION" });
    }
    await using stream = await openStream(app, "/news");
    await expect(stream.next("x", { within: 5 } as object)).rejects.toMatchObject({
      code: "ERR_SSE_INVALID_OPTION",
    });
  });
});
