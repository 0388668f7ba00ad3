import http from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { eventually, knock, request } from "../../../../test/client.js";
import type { RequestOptions, StreamClient } from "../../../../test/client.js";
import { createHub } from "../../src/hub/hub.js";
import type { Hub, Session } from "../../src/hub/hub.js";
import { createRoute } from "../../src/hub/route.js";
import type { RouteChannels, RouteOptions } from "../../src/hub/route.js";
import type { HubOptions } from "../../src/options/hub.js";
import { thrownBy, untyped } from "../thrown.js";

const closers: (() => Promise<void> | void)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

interface Harness {
  readonly hub: Hub;
  /** Outcome of each call of the route. */
  readonly results: unknown[];
  readonly sessions: Session[];
  readonly responses: http.ServerResponse[];
  get(path?: string, options?: RequestOptions): Promise<StreamClient>;
  /** Sends a request without waiting for an answer. */
  leave(): Promise<{ cut(): void }>;
}

/** A route behind plain `node:http`. Rejections are answered with 500. */
async function serve(
  channels: RouteChannels<http.IncomingMessage>,
  options?: RouteOptions<http.IncomingMessage>,
  hubOptions: HubOptions = {},
): Promise<Harness> {
  const hub = createHub({ reconnectionTimeMs: false, ...hubOptions });
  const route = createRoute(channels, options, "a session");
  const results: unknown[] = [];
  const sessions: Session[] = [];
  const responses: http.ServerResponse[] = [];
  const server = http.createServer((incoming, response) => {
    const session = hub.createSession({ request: incoming, response });
    sessions.push(session);
    responses.push(response);
    route(incoming, session).then(
      (result) => results.push(result),
      (error: unknown) => {
        results.push(error);
        response.writeHead(500).end();
      },
    );
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  closers.push(async () => {
    await hub.close();
    await new Promise((resolve) => {
      server.close(resolve);
    });
  });
  const target = { port: (server.address() as AddressInfo).port, protocol: "http1" } as const;
  const get: Harness["get"] = async (path = "/", given = {}) => {
    const client = await request(target, path, {
      ...given,
      headers: { accept: "text/event-stream", ...given.headers },
    });
    closers.push(() => client.cut());
    return client;
  };
  return { hub, results, sessions, responses, get, leave: () => knock(target, "/") };
}

function nameOf({ url }: http.IncomingMessage): string {
  return (url ?? "").slice(1);
}

describe("createRoute", () => {
  it("subscribes every request to its channels", async () => {
    const names = ["news", "sport"];
    const { hub, get, results } = await serve(names);
    names.pop();
    const client = await get();
    await hub.publish("sport", "goal");
    await client.until("data: goal\n");
    expect(results).toEqual([true]);
  });

  it("accepts functions of the request as channels and options", async () => {
    const { hub, get } = await serve(nameOf, ({ url }) => ({ latest: url === "/news" ? 1 : 0 }));
    await hub.publish("news", "old news");
    await hub.publish("sport", "old sport");
    const news = await get("/news");
    await news.until("data: old news\n");
    const sport = await get("/sport");
    await hub.publish("sport", "goal");
    expect(await sport.until("data: goal\n")).not.toContain("old");
  });

  it("waits for functions that answer later, `options` after `channels`", async () => {
    const order: string[] = [];
    const { hub, get } = await serve(
      async (incoming) => {
        await new Promise(setImmediate);
        order.push("channels");
        return [nameOf(incoming)];
      },
      async () => {
        order.push("options");
        return undefined;
      },
    );
    const client = await get("/news");
    await hub.publish("news", "one");
    await client.until("data: one\n");
    expect(order).toEqual(["channels", "options"]);
  });

  it("resumes a client at its position", async () => {
    const { hub, get } = await serve(async (incoming) => nameOf(incoming));
    const { id } = await hub.publish("news", "one");
    await hub.publish("news", "two");
    const client = await get("/news", { headers: { "last-event-id": id } });
    expect(await client.until("data: two\n")).not.toContain("data: one\n");
  });

  it("rejects with the error of a function, and does not call `options` then", async () => {
    const fault = new Error("not logged in");
    let isAsked = false;
    const { get, results } = await serve(
      () => {
        throw fault;
      },
      () => {
        isAsked = true;
        return undefined;
      },
    );
    expect((await get()).status).toBe(500);
    expect(results).toEqual([fault]);
    expect(isAsked).toBe(false);
  });

  it("rejects with the error of `subscribe` for an invalid result of a function", async () => {
    const { get, results } = await serve(async () => untyped(undefined));
    expect((await get()).status).toBe(500);
    expect(results).toMatchObject([{ code: "ERR_SSE_INVALID_OPTION" }]);
  });

  it("rejects with advice if the request has no session", async () => {
    const route = createRoute("news", undefined, "app.use(sse()) before this route");
    await expect(route({}, undefined)).rejects.toMatchObject({
      code: "ERR_SSE_INVALID_OPTION",
      message: "Expected app.use(sse()) before this route",
    });
  });

  it("resolves to false if the client leaves while a function waits for an operation that aborts with it", async () => {
    let isAsked = false;
    const { leave, results, sessions } = await serve(async () => {
      isAsked = true;
      await new Promise((_resolve, reject) => {
        sessions[0]?.signal.addEventListener("abort", () => {
          reject(new DOMException("The client has left", "AbortError"));
        });
      });
      return "news";
    });
    const client = await leave();
    await eventually("the function to be asked", () => isAsked);
    client.cut();
    await eventually("a result", () => results.length > 0);
    expect(results).toEqual([false]);
  });

  it("resolves to false if the request was answered elsewhere while a function waited", async () => {
    const { get, results, responses } = await serve(async () => {
      await new Promise(setImmediate);
      responses[0]?.writeHead(503);
      responses[0]?.write("too late");
      return "news";
    });
    expect((await get()).status).toBe(503);
    await eventually("a result", () => results.length > 0);
    responses[0]?.end();
    expect(results).toEqual([false]);
  });

  it.each([
    ["no channel", [], undefined],
    ["a reserved channel", "~news", undefined],
    ["an unknown option", "news", untyped({ last: 1 })],
  ])("throws when created with %s", (_name, channels, options) => {
    expect(thrownBy(() => createRoute(channels, options, "")).code).toBe("ERR_SSE_INVALID_OPTION");
  });
});
