/** How Fastify applications register the plugin, close, and send other answers beside a stream. */

import { setTimeout as delay } from "node:timers/promises";
import fastifyExpress from "@fastify/express";
import fastifySse from "@fastify/sse";
import { createHub, isSseError, sseHandler, ssePlugin } from "@tidewire/fastify";
import type { CloseReason, Hub, Session, SsePluginOptions } from "@tidewire/fastify";
import type { CorsOptions } from "cors";
import Fastify from "fastify";
import type { FastifyInstance, FastifyReply, FastifyServerOptions } from "fastify";
import { afterEach, describe, expect, it } from "vitest";
import { connect, eventually, knock, request, within } from "../client.js";
import type { RequestOptions, StreamClient, Target } from "../client.js";

const closers: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

function makeApp(options: FastifyServerOptions = {}): FastifyInstance {
  const app = Fastify({ return503OnClosing: false, ...options }) as unknown as FastifyInstance;
  closers.push(() => app.close());
  return app;
}

async function listen(app: FastifyInstance): Promise<Target> {
  await app.listen({ port: 0, host: "127.0.0.1" });
  return { port: (app.server.address() as { port: number }).port, protocol: "http1" };
}

async function get(
  target: Target | FastifyInstance,
  path: string,
  options?: RequestOptions,
): Promise<StreamClient> {
  const client = await request("protocol" in target ? target : await listen(target), path, options);
  closers.push(() => client.cut());
  return client;
}

/** A request whose answer may take a while. */
function ask(target: Target, path: string, options?: RequestOptions): Promise<StreamClient> {
  const asked = get(target, path, options);
  asked.catch(() => {});
  return asked;
}

/** An onSend hook that holds back requested answers until they are released. */
function holdBack(app: FastifyInstance): { isHolding: () => boolean; letGo: () => void } {
  const held: (() => void)[] = [];
  app.addHook("onSend", async (_request, _reply, payload) => {
    await new Promise<void>((resolve) => held.push(resolve));
    return payload;
  });
  return {
    isHolding: () => held.length > 0,
    letGo: () => {
      for (const go of held.splice(0)) go();
    },
  };
}

/** An origin function that answers when `answer` is called. */
function slowOrigin(): { cors: CorsOptions; isAsked: () => boolean; answer: () => void } {
  const callbacks: ((error: Error | null, allow?: boolean) => void)[] = [];
  return {
    cors: { origin: (_origin, callback) => void callbacks.push(callback) },
    isAsked: () => callbacks.length > 0,
    answer: () => {
      for (const callback of callbacks.splice(0)) callback(null, true);
    },
  };
}

type Routes = (app: FastifyInstance) => void;

const REGISTRATIONS: readonly [
  string,
  (app: FastifyInstance, routes: Routes, options?: SsePluginOptions) => Promise<void> | void,
][] = [
  [
    "registered and awaited",
    async (app, routes, options = {}) => {
      await app.register(ssePlugin, options);
      routes(app);
    },
  ],
  [
    "registered without await",
    (app, routes, options = {}) => {
      void app.register(ssePlugin, options);
      routes(app);
    },
  ],
  [
    "registered after the routes",
    (app, routes, options = {}) => {
      routes(app);
      void app.register(ssePlugin, options);
    },
  ],
  [
    "registered without await, with the routes in a later plugin",
    (app, routes, options = {}) => {
      void app.register(ssePlugin, options);
      void app.register(async (scope) => routes(scope));
    },
  ],
  [
    "registered in a scope with the routes",
    (app, routes, options = {}) => {
      void app.register(async (scope) => {
        await scope.register(ssePlugin, options);
        routes(scope);
      });
    },
  ],
];

describe.each(REGISTRATIONS)("The plugin %s", (_name, register) => {
  function record(app: FastifyInstance): string[] {
    const seen: string[] = [];
    app.setErrorHandler((error: Error, _request, reply) => {
      seen.push(`handler ${error.message}`);
      return reply.code(500).send({ error: error.message });
    });
    app.addHook("onError", async (_request, _reply, error) => {
      seen.push(`hook ${error.message}`);
    });
    return seen;
  }

  it.each<[string, Routes, string]>([
    [
      "an async handler",
      (app) =>
        app.get("/", async (_request, reply) => {
          await reply.sse.send("one");
          throw new Error("broken");
        }),
      "/",
    ],
    [
      "a handler",
      (app) =>
        app.get("/", (_request, reply) => {
          void reply.sse.send("one");
          throw new Error("broken");
        }),
      "/",
    ],
    [
      "a custom not-found handler",
      (app) =>
        app.setNotFoundHandler(async (_request, reply) => {
          await reply.sse.send("one");
          throw new Error("broken");
        }),
      "/nowhere",
    ],
    [
      "the not-found handler, called by a hook",
      (app) => {
        app.setNotFoundHandler(async (_request, reply) => {
          await reply.sse.send("one");
          throw new Error("broken");
        });
        app.get(
          "/",
          {
            preHandler: (_request, reply) => {
              reply.callNotFound();
            },
          },
          async () => "never",
        );
      },
      "/",
    ],
  ])(
    "passes an error after the head to the error handler and onError hooks: %s",
    async (_handler, routes, path) => {
      const app = makeApp();
      const reasons: CloseReason[] = [];
      const seen = record(app);
      await register(app, (scope) => {
        scope.addHook("preHandler", (_request, reply, done) => {
          reply.sse.onClose((reason) => reasons.push(reason));
          done();
        });
        routes(scope);
      });
      // A scope without a prefix cannot have its own not-found handler.
      if (_name.includes("scope") && path === "/nowhere") return;
      const client = await get(app, path);
      expect(await client.rest()).toContain("data: one\n\n");
      expect(seen).toEqual(["hook broken", "handler broken"]);
      expect(reasons[0]).toBe("error");
    },
  );

  it("treats a value that a handler sends after a stream as an error", async () => {
    const app = makeApp();
    const seen = record(app);
    await register(app, (scope) =>
      scope.get("/", async (_request, reply) => {
        await reply.sse.send("one");
        void reply.send({ a: 1 });
      }),
    );
    expect(await (await get(app, "/")).rest()).toContain("data: one\n\n");
    expect(seen).toHaveLength(2);
  });

  it("runs no handler after a hook that has started a stream", async () => {
    const app = makeApp();
    let isHandled = false;
    await register(app, (scope) => {
      scope.addHook("onRequest", async (_request, reply) => void reply.sse.send("hook"));
      scope.get("/", async () => (isHandled = true));
    });
    const client = await get(app, "/");
    await client.until("data: hook\n\n");
    await delay(20);
    expect(isHandled).toBe(false);
    expect(client.isEnded).toBe(false);
  });

  it("runs no handler after a hook that came before the plugin and started a stream, while its head is held back", async () => {
    const app = makeApp();
    app.addHook("onRequest", async (_request, reply) => void reply.sse.send("hook"));
    const { isHolding, letGo } = holdBack(app);
    await app.register(ssePlugin);
    let calls = 0;
    app.get("/", async () => ({ call: ++calls }));
    const asked = ask(await listen(app), "/");
    await eventually("the hook", isHolding);
    letGo();
    await (await asked).until("data: hook\n\n");
    expect(calls).toBe(0);
  });

  it.each([
    ["the route sets another", (reply: FastifyReply) => void reply.code(404)],
    [
      "the handler fails",
      () => {
        throw new Error("broken");
      },
    ],
  ])("keeps the status with which it has opened, even if %s at once", async (_how, goOn) => {
    const app = makeApp();
    await register(app, (scope) => {
      scope.get("/", async (_request, reply) => {
        reply.sse.open({ status: 201 });
        expect(reply.raw.headersSent).toBe(true);
        goOn(reply);
        return reply;
      });
    });
    const client = await get(app, "/");
    expect(client.status).toBe(201);
    expect(client.headers["content-type"]).toBe("text/event-stream");
  });

  it("serves an sseHandler", async () => {
    const app = makeApp();
    const hub = createHub();
    await register(app, (scope) => scope.get("/", sseHandler("news", { latest: 1 })), { hub });
    await hub.publish("news", "one");
    expect(await (await get(app, "/")).until("data: one\n")).toMatch(/^id: /);
  });
});

describe("Several hubs", () => {
  it("serve one scope each: the innermost serves its routes", async () => {
    const [root, admin] = [createHub(), createHub()];
    const app = makeApp();
    await app.register(ssePlugin, { hub: root });
    app.get("/news", (_request, reply) => void reply.sse.subscribe("news"));
    await app.register(
      async (scope) => {
        await scope.register(ssePlugin, { hub: admin });
        expect(scope.sse).toBe(admin);
        scope.get("/news", sseHandler("news"));
      },
      { prefix: "/admin" },
    );
    expect(app.sse).toBe(root);
    const target = await listen(app);
    const outer = await get(target, "/news");
    const inner = await get(target, "/admin/news");
    await eventually("both", () => root.sessionCount + admin.sessionCount === 2);
    await root.publish("news", "of the root");
    await admin.publish("news", "of admin");
    await outer.until("data: of the root\n");
    await inner.until("data: of admin\n");
    expect(outer.text).not.toContain("of admin");
    expect(inner.text).not.toContain("of the root");
  });

  it("answer only the preflights of their own routes", async () => {
    const app = makeApp();
    await app.register(ssePlugin, { cors: { origin: "https://root.example" } });
    await app.register(
      async (scope) => {
        await scope.register(ssePlugin, { cors: { origin: "https://admin.example" } });
        scope.options("/news", async () => "no preflight of ours");
      },
      { prefix: "/admin" },
    );
    const target = await listen(app);
    const preflight = (path: string, origin: string): Promise<StreamClient> =>
      get(target, path, {
        method: "OPTIONS",
        headers: { origin, "access-control-request-method": "GET" },
      });
    expect((await preflight("/news", "https://root.example")).status).toBe(204);
    expect((await preflight("/admin/news", "https://admin.example")).status).toBe(204);
    expect((await preflight("/admin/news", "https://root.example")).status).toBe(200);
  });

  it("serve one scope under different names", async () => {
    const [news, live] = [createHub(), createHub()];
    const app = makeApp();
    await app.register(ssePlugin, { hub: news });
    await app.register(ssePlugin, { hub: live, decorator: "live" });
    expect((app as unknown as { live: Hub }).live).toBe(live);
    app.get("/news", sseHandler("t"));
    app.get("/live", sseHandler("t", {}, { decorator: "live" }));
    const target = await listen(app);
    const clients = [await get(target, "/news"), await get(target, "/live")];
    await eventually("both", () => news.sessionCount === 1 && live.sessionCount === 1);
    await news.publish("t", "news");
    await live.publish("t", "live");
    await clients[0]?.until("data: news\n");
    await clients[1]?.until("data: live\n");
  });
});

describe("A name that is taken", () => {
  async function failureOf(use: (app: FastifyInstance) => unknown): Promise<unknown> {
    const app = makeApp();
    await use(app);
    return Promise.resolve(app.ready()).then(
      () => undefined,
      (error: unknown) => error,
    );
  }

  it.each<[string, RegExp, (app: FastifyInstance) => unknown]>([
    [
      "by the plugin itself in the same scope",
      /registered twice in one scope as `sse`/,
      (app) => {
        void app.register(ssePlugin);
        void app.register(ssePlugin);
      },
    ],
    [
      "by another plugin",
      /another plugin already has `sse`/,
      (app) => {
        app.decorateReply("sse" as never, (() => {}) as never);
        void app.register(ssePlugin);
      },
    ],
    [
      "by Fastify",
      /Fastify or another plugin already has `log`/,
      (app) => void app.register(ssePlugin, { decorator: "log" }),
    ],
    [
      "because it is not a valid name",
      /non-empty string/,
      (app) => void app.register(ssePlugin, { decorator: "" }),
    ],
    [
      "by @fastify/sse",
      /@fastify\/sse already has `reply\.sse`/,
      (app) => {
        void app.register(fastifySse);
        void app.register(ssePlugin);
      },
    ],
    [
      "by @fastify/sse, registered later",
      /@fastify\/sse already has `reply\.sse`/,
      (app) => {
        void app.register(ssePlugin);
        void app.register(fastifySse);
      },
    ],
  ])("says so in plain words: %s", async (_name, message, use) => {
    const error = await failureOf(use);
    expect(error).toMatchObject({
      code: "ERR_SSE_INVALID_OPTION",
      message: expect.stringMatching(message) as unknown,
    });
  });

  it("stays with @fastify/sse: both serve their routes", async () => {
    const app = makeApp();
    await app.register(fastifySse);
    await app.register(ssePlugin, { decorator: "live" });
    app.get("/theirs", { sse: true } as object, async (_request, reply) => {
      await (reply.sse as unknown as { send(message: object): Promise<void> }).send({
        data: "theirs",
      });
    });
    app.get("/ours", (_request, reply) => {
      void (reply as unknown as { live: Session }).live.send("ours");
    });
    const target = await listen(app);
    const headers = { accept: "text/event-stream" };
    const [other, own] = [await get(target, "/theirs", { headers }), await get(target, "/ours")];
    expect(await other.until('data: "theirs"\n')).not.toMatch(/^retry: /);
    expect(await own.until("data: ours\n")).toMatch(/^retry: /);
  });

  it("may be used by @fastify/sse in an inner scope", async () => {
    const app = makeApp();
    await app.register(ssePlugin);
    app.get("/ours", (_request, reply) => void reply.sse.send("ours"));
    await app.register(async (scope) => {
      await scope.register(fastifySse);
      scope.get("/theirs", { sse: true } as object, async (_request, reply) => {
        await (reply.sse as unknown as { send(message: object): Promise<void> }).send({
          data: "theirs",
        });
      });
    });
    const target = await listen(app);
    const headers = { accept: "text/event-stream" };
    const [other, own] = [await get(target, "/theirs", { headers }), await get(target, "/ours")];
    expect(await other.until('data: "theirs"\n')).not.toMatch(/^retry: /);
    expect(await own.until("data: ours\n")).toMatch(/^retry: /);
  });
});

describe("close()", () => {
  async function share(): Promise<{ hub: Hub; apps: FastifyInstance[]; targets: Target[] }> {
    const hub = createHub();
    closers.push(() => hub.close());
    const apps = [makeApp(), makeApp()];
    for (const app of apps) {
      await app.register(ssePlugin, { hub });
      app.get("/", sseHandler("news"));
    }
    return { hub, apps, targets: [await listen(apps[0]!), await listen(apps[1]!)] };
  }

  it("ends the streams of its instance and keeps a shared hub open", async () => {
    const { hub, apps, targets } = await share();
    const [leaving, staying] = [await get(targets[0]!, "/"), await get(targets[1]!, "/")];
    await eventually("both", () => hub.sessionCount === 2);
    await within("close()", apps[0]!.close(), 2_000);
    await leaving.rest();
    await hub.publish("news", "on");
    await staying.until("data: on\n");
    expect(hub.stats()).toMatchObject({ log: { state: "live" }, closes: { shutdown: 1 } });
    await (await get(targets[1]!, "/")).until("retry: ");
    expect(hub.sessionCount).toBe(2);
  });

  it("answers sessions of its instance that have not opened, and aborts their signals", async () => {
    const hub = createHub({ authorize: () => new Promise(() => {}) });
    closers.push(() => hub.close());
    const app = makeApp();
    await app.register(ssePlugin, { hub });
    let session: Session | undefined;
    app.get("/", (_request, reply) => {
      session = reply.sse;
      void session.subscribe("news");
    });
    const asked = ask(await listen(app), "/");
    await eventually("the question", () => session !== undefined);
    const { signal } = session!;
    await within("close()", app.close(), 2_000);
    await (await asked).rest();
    expect(session?.closeReason).toBe("shutdown");
    expect(signal.aborted).toBe(true);
  });

  it("turns away requests that still arrive at its instance", async () => {
    const { hub, apps, targets } = await share();
    const socket = await connect(targets[0]!.port);
    closers.push(() => socket.destroy());
    // The head of a request is on its way: the connection is not idle, so it outlives the closing.
    socket.write("GET / HTTP/1.1\r\nHost: localhost\r\n");
    await delay(50);
    const closing = apps[0]!.close();
    await delay(50);
    socket.write("\r\n");
    await within("close()", closing, 3_000);
    expect(hub.sessionCount).toBe(0);
  });

  it("closes a hub that the plugin has created", async () => {
    const app = makeApp();
    await app.register(ssePlugin);
    app.get("/", sseHandler("news"));
    const client = await get(app, "/");
    await app.close();
    await client.rest();
    expect(app.sse.stats().log.state).toBe("closed");
  });

  it.each([
    ["false", { return503OnClosing: false }, 200],
    ["true", { return503OnClosing: true }, 503],
    ["absent", {}, 503],
    // Measured: Fastify treats it as `false`.
    ["undefined", { return503OnClosing: undefined as unknown as boolean }, 200],
  ])(
    "is warned of once where Fastify answers 503 meanwhile: return503OnClosing %s",
    async (_name, options, status) => {
      const logged: string[] = [];
      const app = Fastify({
        logger: { level: "warn", stream: { write: (line: string) => void logged.push(line) } },
        ...options,
      }) as unknown as FastifyInstance;
      closers.push(() => app.close());
      const answered: number[] = [];
      app.get("/", () => "still there");
      app.addHook("preClose", async () => {
        const { port } = app.server.address() as { port: number };
        answered.push((await get({ port, protocol: "http1" }, "/")).status);
      });
      await app.register(ssePlugin);
      await app.register(async (scope) => {
        await scope.register(ssePlugin);
      });
      expect(logged).toEqual([]);
      await app.ready();
      expect(logged).toHaveLength(status === 503 ? 1 : 0);
      expect(logged.join("")).toMatch(status === 503 ? /`return503OnClosing: false`/ : /^$/);
      await listen(app);
      await app.close();
      expect(answered).toEqual([status]);
    },
  );
});

describe("An async handler that returns nothing", () => {
  const WAITS: readonly [string, SsePluginOptions, (session: Session) => unknown][] = [
    ["authorize", { authorize: () => delay(30, true) }, (session) => session.subscribe("t")],
    [
      "CORS",
      { cors: { origin: (_origin, callback) => void setTimeout(callback, 30, null, true) } },
      (session) => session.open(),
    ],
  ];

  it.each(WAITS)("has a stream that waits for %s", async (_name, options, use) => {
    const app = makeApp();
    await app.register(ssePlugin, options);
    app.get("/", async (_request, reply) => void use(reply.sse));
    const client = await get(app, "/", { headers: { origin: "https://app.example" } });
    expect(client.headers["content-type"]).toBe("text/event-stream");
    await client.until(":");
    expect(client.isEnded).toBe(false);
  });

  it("is answered as without a stream if every subscribe is cancelled", async () => {
    const app = makeApp();
    await app.register(ssePlugin, { authorize: () => new Promise(() => {}) });
    app.get("/", async (_request, reply) => {
      void reply.sse.subscribe("t");
      setTimeout(() => reply.sse.unsubscribe("t"), 20);
    });
    const client = await get(app, "/");
    expect(client.headers).toMatchObject({ "content-length": "0" });
  });

  it("may answer in another way while its stream waits", async () => {
    const app = makeApp();
    const heard: unknown[] = [];
    await app.register(ssePlugin, {
      authorize: () => delay(50, true),
      onError: (error) => heard.push(error),
    });
    let session: Session | undefined;
    app.get("/", async (_request, reply) => {
      session = reply.sse;
      void session.subscribe("t");
      await delay(10);
      return { a: 1 };
    });
    const client = await get(app, "/");
    expect(await client.rest()).toBe('{"a":1}');
    await eventually("the end", () => session?.state === "closed");
    await delay(60);
    expect(heard).toEqual([]);
  });
});

describe("A handler that fails because its client has left before the head", () => {
  it.each([false, true])("is not an error: HTTP/2 %s", async (http2) => {
    const logged: string[] = [];
    const app = makeApp({
      ...(http2 ? { http2 } : {}),
      logger: { level: "warn", stream: { write: (line: string) => void logged.push(line) } },
    } as FastifyServerOptions);
    let ends = 0;
    let session: Session | undefined;
    await app.register(ssePlugin);
    app.addHook("onError", async () => void logged.push("onError"));
    app.get("/", async (_request, reply) => {
      session = reply.sse;
      try {
        await delay(60_000, undefined, { signal: session.signal });
      } finally {
        ends += 1;
      }
    });
    const { port } = await listen(app);
    const client = await knock({ port, protocol: http2 ? "http2" : "http1" }, "/");
    await eventually("the handler", () => session !== undefined);
    client.cut();
    await eventually("its end", () => ends === 1);
    await delay(20);
    expect(session?.closeReason).toBe("client");
    expect(logged).toEqual([]);
  });
});

describe("reply.hijack()", () => {
  it("withholds nothing from the stream: hooks run, errors get through", async () => {
    const app = makeApp();
    const seen: string[] = [];
    await app.register(ssePlugin);
    app.addHook("onSend", async (_request, reply) => void reply.header("X-On-Send", "yes"));
    app.setErrorHandler((error: Error) => void seen.push(error.message));
    app.get("/", async (_request, reply) => {
      reply.hijack();
      await reply.sse.send("one");
      throw new Error("broken");
    });
    const client = await get(app, "/");
    expect(client.headers["x-on-send"]).toBe("yes");
    expect(await client.rest()).toContain("data: one\n\n");
    expect(seen).toEqual(["broken"]);
  });

  it("does not block answers to clients that get no stream", async () => {
    const app = makeApp();
    await app.register(ssePlugin);
    app.get("/", (_request, reply) => {
      reply.hijack();
      reply.sse.open();
    });
    const target = await listen(app);
    const refused = await get(target, "/", { headers: { accept: "text/html" } });
    expect(refused.status).toBe(406);
    expect(await refused.rest()).toContain("ERR_SSE_NOT_ACCEPTABLE");
    expect((await get(target, "/?lastEventId=~end")).status).toBe(204);
  });
});

describe("An answer that an onSend hook holds back", () => {
  it("is not overwritten by a stream whose origin was looked up meanwhile", async () => {
    const { cors, isAsked, answer } = slowOrigin();
    const app = makeApp();
    const { isHolding, letGo } = holdBack(app);
    await app.register(ssePlugin, { cors });
    let session: Session | undefined;
    app.get("/", (_request, reply) => {
      session = reply.sse;
      session.open();
      void reply.code(503).send("elsewhere");
    });
    const asked = ask(await listen(app), "/", { headers: { origin: "https://app.example" } });
    await eventually("both", () => isAsked() && isHolding());
    answer();
    expect(session?.closeReason).toBe("ended");
    letGo();
    const client = await asked;
    expect(client.status).toBe(503);
    expect(await client.rest()).toBe("elsewhere");
  });

  it("leaves no room for a stream that the route opens after it", async () => {
    const app = makeApp();
    const { isHolding, letGo } = holdBack(app);
    await app.register(ssePlugin);
    const codes: unknown[] = [];
    app.get("/", (_request, reply) => {
      const { sse } = reply;
      void reply.send("an answer");
      for (const use of [() => sse.open(), () => sse.subscribe("t"), () => sse.send("x")]) {
        try {
          void use();
        } catch (error) {
          codes.push(isSseError(error) && error.code);
        }
      }
    });
    const asked = ask(await listen(app), "/");
    await eventually("the hook", isHolding);
    letGo();
    expect(await (await asked).rest()).toBe("an answer");
    expect(codes).toEqual(Array(3).fill("ERR_SSE_HEADERS_SENT"));
  });

  it("is that of the error handler if the route fails while its stream waits", async () => {
    const { cors, isAsked, answer } = slowOrigin();
    const app = makeApp();
    const { isHolding, letGo } = holdBack(app);
    await app.register(ssePlugin, { cors });
    app.get("/", async (_request, reply) => {
      reply.sse.open();
      throw new Error("broken");
    });
    const asked = ask(await listen(app), "/", { headers: { origin: "https://app.example" } });
    await eventually("both", () => isAsked() && isHolding());
    answer();
    letGo();
    const client = await asked;
    expect(client.status).toBe(500);
    expect(await client.rest()).toContain("broken");
  });

  it.each<[string, (reply: FastifyReply) => unknown]>([
    ["a value", (reply) => reply.send({ error: "handled" })],
    ["nothing", (reply) => void reply.header("X-Error", "handled")],
  ])("gives way to the error handler if the hook fails: %s", async (_name, answer) => {
    const app = makeApp();
    await app.register(ssePlugin);
    app.addHook("onSend", async (_request, reply) => {
      await Promise.resolve();
      if (reply.statusCode < 400) throw new Error("hook");
    });
    app.setErrorHandler(async (_error, _request, reply) => {
      await Promise.resolve();
      return answer(reply.code(500) as unknown as FastifyReply);
    });
    app.get("/", (_request, reply) => {
      reply.sse.open();
      return reply;
    });
    const target = await listen(app);
    for (const path of ["/", "/?lastEventId=~end"]) {
      const client = await get(target, path);
      expect(client.status).toBe(500);
      expect(await client.rest()).toBe(_name === "a value" ? '{"error":"handled"}' : "");
    }
  });
});

describe("An async origin function that rejects", () => {
  it("is an error of the request, for the error handler", async () => {
    const fault = Object.assign(new Error("out of reach"), { statusCode: 502 });
    const origin = async (): Promise<void> => {
      await Promise.resolve();
      throw fault;
    };
    const app = makeApp();
    const seen: unknown[] = [];
    await app.register(ssePlugin, { cors: { origin: origin as () => void } });
    app.setErrorHandler((error, _request, reply) => {
      seen.push(error);
      return reply.code(502).send("sorry");
    });
    app.get("/", async (_request, reply) => void reply.sse.open());
    const target = await listen(app);
    const headers = { origin: "https://app.example" };
    const client = await get(target, "/", { headers });
    expect([client.status, await client.rest()]).toEqual([502, "sorry"]);
    const preflight = await get(target, "/", {
      method: "OPTIONS",
      headers: { ...headers, "access-control-request-method": "GET" },
    });
    expect(preflight.status).toBe(502);
    expect(seen).toEqual([fault, fault]);
  });
});

describe("Under @fastify/express", () => {
  async function make(): Promise<FastifyInstance> {
    const app = makeApp();
    await app.register(fastifyExpress);
    app.use((_request: unknown, _response: unknown, next: () => void) => next());
    await app.register(ssePlugin);
    return app;
  }

  it("streams, and passes an error after the head to the error handler", async () => {
    const app = await make();
    const seen: string[] = [];
    app.setErrorHandler((error: Error, _request, reply) => {
      seen.push(error.message);
      return reply.code(500).send("too late");
    });
    app.get("/", async (_request, reply) => {
      await reply.sse.send("one");
      throw new Error("broken");
    });
    const client = await get(app, "/");
    expect(await client.rest()).toMatch(/data: one\n\n$/);
    expect(seen).toEqual(["broken"]);
  });

  it("knows that the route has answered", async () => {
    const app = await make();
    const codes: unknown[] = [];
    app.get("/", (_request, reply) => {
      reply.raw.writeHead(200);
      try {
        reply.sse.open();
      } catch (error) {
        codes.push(isSseError(error) && error.code);
      }
      reply.raw.end("an answer");
    });
    expect(await (await get(app, "/")).rest()).toBe("an answer");
    expect(codes).toEqual(["ERR_SSE_HEADERS_SENT"]);
  });

  it("closes in time", async () => {
    const app = await make();
    app.get("/", sseHandler("news"));
    const client = await get(app, "/");
    await within("close()", app.close(), 2_000);
    expect(await client.rest()).toContain("sse-cursor");
  });
});

describe("sseHandler", () => {
  it("accepts functions of the request, and passes on errors that they throw", async () => {
    const app = makeApp();
    await app.register(ssePlugin);
    app.get<{ Params: { user: string } }>(
      "/:user",
      sseHandler(
        async (incoming) => {
          const { user } = incoming.params;
          if (user === "nobody") throw Object.assign(new Error("Who?"), { statusCode: 401 });
          return [`user:${user}`];
        },
        (incoming) => ({ latest: incoming.params.user === "7" ? 1 : 0 }),
      ),
    );
    await app.sse.publish("user:7", "seven");
    await app.sse.publish("user:8", "eight");
    const target = await listen(app);
    await (await get(target, "/7")).until("data: seven\n");
    expect((await get(target, "/nobody")).status).toBe(401);
    const eight = await get(target, "/8");
    await app.sse.publish("user:8", "more");
    expect(await eight.until("data: more\n")).not.toContain("eight");
  });

  it("answers 403 through the error handler if authorize refuses", async () => {
    const app = makeApp();
    await app.register(ssePlugin, { authorize: async () => false });
    app.get("/", sseHandler("secret"));
    const client = await get(app, "/");
    expect(client.status).toBe(403);
    expect(await client.rest()).toContain("ERR_SSE_FORBIDDEN");
  });

  it("says what to do if the plugin is not registered", async () => {
    const app = makeApp();
    app.get("/", sseHandler("news"));
    const client = await get(app, "/");
    expect(client.status).toBe(500);
    expect(await client.rest()).toContain("register ssePlugin in the scope of the route");
  });
});
