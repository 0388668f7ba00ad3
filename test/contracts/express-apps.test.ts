/** `res.sse` wherever an Express request may go: sub-apps, routers, several hubs, other hosts, other copies. */

import { once } from "node:events";
import http from "node:http";
import type { RequestListener } from "node:http";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import type * as tidewire from "@tidewire/express";
import { sse, sseHandler } from "@tidewire/express";
import type { PropertyOptions, SseMiddleware } from "@tidewire/express";
import connect from "connect";
import express5 from "express";
import type { Express, Request, Response } from "express";
import express4 from "express4";
import vhost from "vhost";
import { afterEach, describe, expect, it } from "vitest";
import { eventually, request } from "../client.js";
import type { RequestOptions, StreamClient } from "../client.js";

const closers: (() => Promise<unknown> | void)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

/** Makes a middleware whose hub is closed after the test. */
function makeSse(options?: PropertyOptions): SseMiddleware {
  const events = sse(options);
  closers.push(() => events.hub.close());
  return events;
}

async function listen(app: unknown): Promise<number> {
  const server = http.createServer(app as RequestListener).listen(0, "127.0.0.1");
  await once(server, "listening");
  closers.push(
    () =>
      new Promise((resolve) => {
        server.close(resolve);
      }),
  );
  return (server.address() as AddressInfo).port;
}

async function get(port: number, path: string, options?: RequestOptions): Promise<StreamClient> {
  const client = await request({ port, protocol: "http1" }, path, options);
  closers.push(() => client.cut());
  return client;
}

/** Requests a stream and returns all of it. */
async function read(app: unknown, path: string, headers = {}): Promise<string> {
  const client = await get(await listen(app), path, { headers });
  const text = await client.rest();
  expect(client.status, text).toBe(200);
  return text;
}

/** Sends one event that names the place, and ends. */
function say(place: string): (request: Request, response: Response) => void {
  return (_request, response) => {
    void response.sse.send(place);
    response.sse.close();
  };
}

/** Another copy of the packages in this process, as in a monorepo with two versions. */
function loadSecondCopy(): typeof tidewire {
  const require = createRequire(import.meta.url);
  const loaded = Object.entries(require.cache).filter(([name]) =>
    /\/packages\/(?:core|express)\/dist\//.test(name),
  );
  for (const [name] of loaded) delete require.cache[name];
  const copy = require("@tidewire/express") as typeof tidewire;
  for (const [name, module] of loaded) require.cache[name] = module;
  return copy;
}

describe.each([
  ["Express 4", express4],
  ["Express 5", express5],
])("%s", (_name, express) => {
  function makeApp(): Express {
    const app = express();
    // Without this, Express prints every error that reaches it.
    app.set("env", "test");
    return app;
  }

  /** An application with one route, optionally with its own hub. */
  function makeInner(options: { readonly isOwn: boolean }): Express {
    const app = makeApp();
    if (options.isOwn) app.use(makeSse());
    return app.get("/s", say("inner"));
  }

  const INSIDE = [
    ["without its own `sse()`", { isOwn: false }],
    ["with its own `sse()`", { isOwn: true }],
  ] as const;

  it.each(INSIDE)("has res.sse in a mounted application %s", async (_how, options) => {
    const app = makeApp().use(makeSse()).use("/sub", makeInner(options));
    expect(await read(app, "/sub/s")).toContain("data: inner\n");
  });

  it.each(INSIDE)("has res.sse in an application under a router, %s", async (_how, options) => {
    const router = express.Router().use("/sub", makeInner(options));
    const app = makeApp().use(makeSse()).use(router);
    expect(await read(app, "/sub/s")).toContain("data: inner\n");
  });

  it("has res.sse in an application under a router, if only the router has `sse()`", async () => {
    const app = makeApp().use(express.Router().use("/sub", makeInner({ isOwn: true })));
    expect(await read(app, "/sub/s")).toContain("data: inner\n");
  });

  it.each(INSIDE)("has res.sse in an application behind vhost, %s", async (_how, options) => {
    const app = makeApp()
      .use(makeSse())
      .use(vhost("a.example", makeInner(options)));
    expect(await read(app, "/s", { host: "a.example" })).toContain("data: inner\n");
  });

  it("has res.sse in two applications behind vhost and nothing outside", async () => {
    const app = makeApp()
      .use(vhost("a.example", makeInner({ isOwn: true })))
      .use(vhost("b.example", makeInner({ isOwn: true })));
    expect(await read(app, "/s", { host: "b.example" })).toContain("data: inner\n");
  });

  it.each(INSIDE)("has res.sse in an application that is a handler, %s", async (_how, options) => {
    const app = makeApp().use(makeSse()).get("/s", makeInner(options));
    expect(await read(app, "/s")).toContain("data: inner\n");
  });

  it("has res.sse behind a mounted application that only passes requests on", async () => {
    const docs = makeApp().get("/docs", (_request, response) => void response.end("docs"));
    const app = makeApp().use(makeSse()).use(express.Router().use(docs)).get("/s", say("outer"));
    expect(await read(app, "/s")).toContain("data: outer\n");
  });

  it("has the session of a mounted application in the error handler outside", async () => {
    const inner = makeApp().use(makeSse());
    inner.get("/s", async (_request, response, next) => {
      await response.sse.send("inner");
      next(new Error("later"));
    });
    const app = makeApp().use(makeSse()).use("/sub", inner);
    app.use((error: unknown, _request: Request, response: Response, next: (e: unknown) => void) => {
      if (response.headersSent) response.sse.close();
      else next(error);
    });
    expect(await read(app, "/sub/s")).toContain("data: inner\n");
  });

  it("gives two `sse()` with the same hub one session", async () => {
    const { hub } = makeSse();
    const app = makeApp().use(sse({ hub }));
    const seen: unknown[] = [];
    app.use((_request, response, next) => {
      seen.push(response.sse);
      next();
    });
    const router = express.Router().use(sse({ hub }));
    router.get("/s", (_request, response) => {
      seen.push(response.sse);
      response.sse.close();
    });
    await read(app.use("/r", router), "/r/s");
    expect(seen).toHaveLength(2);
    expect(seen[0]).toBe(seen[1]);
  });

  it("uses the innermost of two hubs, even if the outer one's session was read", async () => {
    const [outer, inner] = [makeSse(), makeSse()];
    const reasons: string[] = [];
    const app = makeApp().use(outer);
    app.use((_request, response, next) => {
      expect(response.sse.wantsEventStream).toBe(false);
      response.sse.onClose((reason) => void reasons.push(reason));
      next();
    });
    app.use("/admin", inner);
    app.get(["/s", "/admin/s"], (_request, response) => void response.sse.subscribe("news"));
    const port = await listen(app);
    for (const [path, { hub }] of Object.entries({ "/s": outer, "/admin/s": inner })) {
      const client = await get(port, path);
      await client.until("\n\n");
      await hub.publish("news", path);
      await client.until(`data: ${path}\n`);
      client.cut();
    }
    await eventually("the outer sessions to close", () => reasons.length === 2);
    expect(reasons).toEqual(["client", "client"]);
  });

  it.each([
    ["a router", () => express.Router()],
    ["a mounted application", () => makeApp()],
  ])("uses the outer hub again behind %s with its own hub", async (_how, create) => {
    const outer = makeSse();
    const hubs: unknown[] = [];
    const note = (_request: Request, response: Response, next: () => void): void => {
      hubs.push(response.sse.hub);
      next();
    };
    const inner = create();
    const innermost = makeSse();
    inner.use(innermost, note, express.Router().use(note));
    inner.get("/elsewhere", say("inner"));
    const app = makeApp().use(outer, note);
    app.use(express.Router().use(inner), note, express.Router().use(note).get("/s", say("outer")));
    expect(await read(app, "/s")).toContain("data: outer\n");
    expect(hubs.map((hub) => (hub === outer.hub ? "outer" : "inner"))).toEqual([
      "outer",
      "inner",
      "inner",
      "outer",
      "outer",
    ]);
    expect(hubs[1]).toBe(innermost.hub);
  });

  describe("sseHandler", () => {
    it("is a route that subscribes and may be created before there is a hub", async () => {
      const news = sseHandler(["news"], { latest: 1 });
      const router = express.Router().get("/news", news);
      const events = makeSse();
      const port = await listen(makeApp().use(events, router));
      await events.hub.publish("news", "old");
      const client = await get(port, "/news");
      await client.until("data: old\n");
      await events.hub.publish("news", "new");
      await client.until("data: new\n");
    });

    it("subscribes at the innermost hub", async () => {
      const [outer, inner] = [makeSse(), makeSse()];
      const router = express.Router().use(inner).get("/news", sseHandler("news"));
      const port = await listen(makeApp().use(outer).use("/admin", router));
      const client = await get(port, "/admin/news");
      await client.until("\n\n");
      expect([outer.hub.sessionCount, inner.hub.sessionCount]).toEqual([0, 1]);
    });

    it("subscribes at the hub of a property", async () => {
      const [first, second] = [makeSse(), makeSse({ property: "admin" })];
      const app = makeApp().use(first, second);
      const port = await listen(app.get("/", sseHandler("news", {}, { property: "admin" })));
      const client = await get(port, "/");
      await client.until("\n\n");
      expect([first.hub.sessionCount, second.hub.sessionCount]).toEqual([0, 1]);
    });

    it("accepts functions of the request as channels and options", async () => {
      const events = makeSse();
      const app = makeApp().use(events);
      app.get(
        "/users/:id",
        sseHandler(
          async (incoming) => `user:${incoming.params["id"] as string}`,
          ({ query }) => ({ latest: Number(query["latest"]) }),
        ),
      );
      const port = await listen(app);
      await events.hub.publish("user:7", "one");
      await events.hub.publish("user:7", "two");
      const client = await get(port, "/users/7?latest=1");
      expect(await client.until("data: two\n")).not.toContain("data: one\n");
    });

    const FORBIDDEN = Object.assign(new Error("Not logged in"), { status: 401 });
    it.each([
      [
        "throws",
        () => {
          throw FORBIDDEN;
        },
        401,
        FORBIDDEN,
      ],
      ["rejects", async () => Promise.reject(FORBIDDEN), 401, FORBIDDEN],
      ["gives no channel", () => [], 500, { code: "ERR_SSE_INVALID_OPTION" }],
    ] as const)(
      "passes the error to the error handler if a function %s",
      async (_what, channels, status, error) => {
        const app = makeApp().use(makeSse());
        app.get("/", sseHandler(channels as () => string));
        let seen: unknown;
        app.use(
          (fault: { status?: number }, _request: Request, response: Response, _next: unknown) => {
            seen = fault;
            response.status(fault.status ?? 500).end();
          },
        );
        expect((await get(await listen(app), "/")).status).toBe(status);
        expect(seen).toMatchObject(error);
      },
    );

    it("does not continue with the next route if a function rejects without an error", async () => {
      const app = makeApp().use(makeSse());
      app.get(
        "/",
        sseHandler(async () => Promise.reject<string>(undefined as unknown as Error)),
      );
      app.get("/", (_request, response) => void response.end("the next route"));
      expect((await get(await listen(app), "/")).status).toBe(500);
    });

    it.each([
      ["sse", "put `app.use(sse())` before the route"],
      ["events", 'put `app.use(sse({ property: "events" }))` before the route'],
    ])("says what to do if there is no res.%s", async (property, advice) => {
      const app = makeApp().get("/", sseHandler("news", {}, { property }));
      let seen: unknown;
      app.use((fault: unknown, _request: Request, response: Response, _next: unknown) => {
        seen = fault;
        response.status(500).end();
      });
      expect((await get(await listen(app), "/")).status).toBe(500);
      expect(seen).toMatchObject({
        code: "ERR_SSE_INVALID_OPTION",
        message: `Expected \`res.${property}\` to be there: ${advice}`,
      });
    });

    it("passes a client that does not accept event streams to the error handler", async () => {
      const app = makeApp().use(makeSse()).get("/", sseHandler("news"));
      const client = await get(await listen(app), "/", { headers: { accept: "image/png" } });
      expect(client.status).toBe(406);
    });
  });

  it("puts the sessions of two hubs on the properties named by `property`", async () => {
    const [first, second] = [makeSse(), makeSse({ property: "admin" })];
    const app = makeApp().use(first, second);
    app.get("/:name", (incoming, response) => {
      const sessions = response as unknown as Record<string, Response["sse"]>;
      void sessions[incoming.params.name]?.subscribe("news");
    });
    const port = await listen(app);
    for (const [name, { hub }] of Object.entries({ sse: first, admin: second })) {
      const client = await get(port, `/${name}`);
      await client.until("\n\n");
      await hub.publish("news", name);
      await client.until(`data: ${name}\n`);
      expect(hub.sessionCount).toBe(1);
    }
  });

  it("lets a later middleware put something else there", async () => {
    const app = makeApp().use(makeSse());
    app.use((_request, response, next) => {
      Object.assign(response, { sse: { old: true } });
      next();
    });
    app.get("/", (_request, response) => void response.json(response.sse));
    expect(await read(app, "/")).toBe('{"old":true}');
  });

  it.each([
    ["a method of Express's own", express.response as object],
    ["what an earlier middleware has put there", undefined],
  ])("wins over %s", async (_what, prototype) => {
    const theirs = (): string => "theirs";
    const app = makeApp();
    if (prototype === undefined) {
      app.use((_request, response, next) => {
        Object.assign(response, { sse: theirs });
        next();
      });
    } else {
      Object.assign(prototype, { sse: theirs });
      closers.push(() => void Reflect.deleteProperty(prototype, "sse"));
    }
    app.use(makeSse());
    app.get("/json", (_request, response) => void response.json({ ok: true }));
    app.get("/s", say("ours"));
    expect(await read(app, "/json")).toBe('{"ok":true}');
    expect(await read(app, "/s")).toContain("data: ours\n");
  });

  it("passes an error to the error handler if the property cannot be replaced", async () => {
    const app = makeApp();
    app.use((_request, response, next) => {
      Object.defineProperty(response, "sse", { value: "theirs" });
      next();
    });
    app.use(makeSse());
    app.use((error: unknown, _request: Request, response: Response, _next: unknown) => {
      response.json({ ...(error as object), text: (error as Error).message });
    });
    expect(JSON.parse(await read(app, "/"))).toMatchObject({
      code: "ERR_SSE_INVALID_OPTION",
      text: "Expected `res.sse` to be free, but it cannot be replaced: choose another `property`",
    });
  });

  it.each([
    ["outside", (copy: typeof tidewire) => [copy.sse(), sse()] as const],
    ["inside", (copy: typeof tidewire) => [sse(), copy.sse()] as const],
  ])("works beside a second copy of the package %s", async (_where, make) => {
    const copy = loadSecondCopy();
    expect(copy.sse).not.toBe(sse);
    const [outer, inner] = make(copy);
    closers.push(
      () => outer.hub.close(),
      () => inner.hub.close(),
    );
    const sub = makeApp().use(inner).get("/s", say("inner")).get("/h", copy.sseHandler("news"));
    const app = makeApp().use(outer);
    app.use((_request, response, next) => {
      expect(response.sse.hub).toBe(outer.hub);
      next();
    });
    app.use("/sub", sub).get("/s", say("outer"));
    expect(await read(app, "/s")).toContain("data: outer\n");
    expect(await read(app, "/sub/s")).toContain("data: inner\n");
    const client = await get(await listen(app), "/sub/h");
    await client.until("\n\n");
    await inner.hub.publish("news", "one");
    await client.until("data: one\n");
  });

  it("accepts a hub of a second copy of the package", async () => {
    const hub = loadSecondCopy().createHub();
    closers.push(() => hub.close());
    expect(await read(makeApp().use(sse({ hub })).get("/s", say("ours")), "/s")).toContain("ours");
  });
});

it("connect: a stream, and its error handling for a client that does not accept one", async () => {
  const events = makeSse();
  const app = connect();
  Object.assign(app, { env: "test" });
  app.use(events);
  app.use("/s", (_request, response) => {
    void (response as unknown as Response).sse.subscribe("news");
  });
  const port = await listen(app);
  const client = await get(port, "/s");
  await client.until("\n\n");
  await events.hub.publish("news", "one");
  await client.until("data: one\n");
  expect((await get(port, "/s", { headers: { accept: "image/png" } })).status).toBe(406);
});

it.each(["", "write", "writableEnded", "toString", 5, null])(
  "sse() refuses the property %j",
  (property) => {
    expect(() => sse({ property: property as string })).toThrow(
      expect.objectContaining({ code: "ERR_SSE_INVALID_OPTION" }) as Error,
    );
  },
);
