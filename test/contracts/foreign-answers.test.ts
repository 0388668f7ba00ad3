/** Responses that are answered elsewhere before their stream has started, and hooks on the head that throw. */

import type { CorsOptions } from "cors";
import type { HubOptions, Session } from "@tidewire/core";
import { expect, it } from "vitest";
import { eventually, knock, request, within } from "../client.js";
import { BINDINGS } from "./bindings.js";
import type { TestExchange } from "./bindings.js";
import { RawClient } from "./raw-capture.js";

const HTTP1 = BINDINGS.filter(({ protocol }) => protocol === "http1");
/** Fastify sends the head of a stream over HTTP/2 without `writeHead`. */
const WITH_WRITE_HEAD = BINDINGS.filter(({ name }) => name !== "Fastify 5 on HTTP/2");

const APP = "https://app.example";

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

/** Makes every head of a response throw. */
function failHead({ response }: Pick<TestExchange, "response">, fault: Error): void {
  Object.assign(response, {
    writeHead() {
      throw fault;
    },
  });
}

/** Records the calls of `onError`. */
function recordErrors(): { heard: [string, unknown][]; onError: HubOptions["onError"] } {
  const heard: [string, unknown][] = [];
  return { heard, onError: (error, { stage }) => void heard.push([stage, error]) };
}

it.each(
  HTTP1.flatMap((binding) => [
    {
      ...binding,
      how: "an answer",
      act: ({ answer }: TestExchange) => answer(503, "elsewhere"),
    },
    {
      ...binding,
      how: "an answer whose body is not over",
      act({ response }: TestExchange) {
        response.writeHead(503);
        (response as NodeJS.WritableStream).write("elsewhere");
      },
    },
  ]),
)(
  "$name: a pipelined stream gives way to $how that comes before its turn",
  async ({ act, ...binding }) => {
    const sessions: Session[] = [];
    let second: TestExchange | undefined;
    const served = await binding.serve(
      (exchange) => {
        sessions.push(exchange.sse);
        void exchange.sse.subscribe("t");
        if (exchange.request.url === "/second") second = exchange;
      },
      { heartbeatMs: false },
    );
    const client = await RawClient.open(served.port);
    try {
      client.get(["/first", "/second", "/third"]);
      await eventually("all handlers", () => sessions.length === 3);
      act(second!);
      sessions[0]?.close();
      await client.until("the answer", () => client.bytes.includes("elsewhere"));
      await eventually("its turn", () => sessions[1]?.closeReason === "ended");
      expect(served.hub.channel("t").subscriptionCount).toBe(1);
      second!.response.end();
      // The connection continues with the next request.
      await eventually("the last turn", () => sessions[2]?.state === "open");
      const heads = (): string[] => client.bytes.toString().match(/HTTP\/1\.1 \d+/g) ?? [];
      await client.until("three heads", () => heads().length >= 3);
      expect(heads()).toEqual(["HTTP/1.1 200", "HTTP/1.1 503", "HTTP/1.1 200"]);
    } finally {
      client.socket.destroy();
      await served.close();
    }
  },
);

it.each(BINDINGS)(
  "$name: a stream gives way to an answer that comes while its origin is looked up",
  async (binding) => {
    const { cors, isAsked, answer } = slowOrigin();
    let exchange: TestExchange | undefined;
    const served = await binding.serve(
      (given) => {
        exchange = given;
        void given.sse.subscribe("t");
      },
      { cors },
    );
    try {
      const asked = request(served, "/", { headers: { origin: APP } });
      await eventually("the question", isAsked);
      exchange!.answer(503, "elsewhere");
      expect(answer).not.toThrow();
      expect(exchange!.sse.closeReason).toBe("ended");
      const client = await asked;
      expect(client.status).toBe(503);
      expect(await client.rest()).toContain("elsewhere");
      client.release();
    } finally {
      await served.close();
    }
  },
);

it.each(BINDINGS)(
  "$name: a preflight is left to an answer that comes while its origin is looked up",
  async (binding) => {
    const { cors, isAsked, answer } = slowOrigin();
    const served = await binding.serve(() => {}, { cors });
    served.server.on("request", (_request, response: TestExchange["response"]) => {
      response.statusCode = 503;
      response.end();
    });
    try {
      const client = await request(served, "/", {
        method: "OPTIONS",
        headers: { origin: APP, "access-control-request-method": "GET" },
      });
      expect(client.status).toBe(503);
      await eventually("the question", isAsked);
      expect(answer).not.toThrow();
      await client.rest();
      client.release();
    } finally {
      await served.close();
    }
  },
);

it.each(WITH_WRITE_HEAD)(
  "$name: hub.close() ends all streams, even if a hook on one of their heads throws",
  async (binding) => {
    const fault = new Error("A hook on the head failed");
    const { heard, onError } = recordErrors();
    const sessions = new Map<string | undefined, Session>();
    let isCut = false;
    const served = await binding.serve(
      (exchange) => {
        const { url } = exchange.request;
        sessions.set(url, exchange.sse);
        if (url === "/failing") {
          failHead(exchange, fault);
          exchange.response.once("close", () => (isCut = true));
        }
        void exchange.sse.subscribe(url === "/open" ? "free" : "undecided");
      },
      { onError, authorize: (channel) => channel === "free" || new Promise<boolean>(() => {}) },
    );
    try {
      const open = await request(served, "/open");
      const failing = await knock(served, "/failing");
      await eventually("the failing one", () => sessions.has("/failing"));
      const undecided = request(served, "/undecided");
      await eventually("the undecided one", () => sessions.has("/undecided"));
      await within("hub.close()", served.hub.close(), 3_000);
      await open.rest();
      expect((await undecided).status).toBe(503);
      await eventually("the failing one to be cut", () => isCut);
      expect(heard).toEqual([["write", fault]]);
      expect(served.hub.stats().log.state).toBe("closed");
      for (const session of sessions.values()) expect(session.closeReason).toBe("shutdown");
      failing.cut();
      (await undecided).release();
      open.release();
    } finally {
      await served.close();
    }
  },
);

it.each(
  HTTP1.flatMap((binding) => ["/", "/?lastEventId=~end"].map((path) => ({ ...binding, path }))),
)(
  "$name: a hook on the head of a pipelined request for $path that throws ends only its connection",
  async ({ path, ...binding }) => {
    const fault = new Error("A hook on the head failed");
    const { heard, onError } = recordErrors();
    const sessions: Session[] = [];
    const served = await binding.serve(
      (exchange) => {
        if (sessions.push(exchange.sse) === 2) failHead(exchange, fault);
        void exchange.sse.subscribe("t");
      },
      { onError },
    );
    const client = await RawClient.open(served.port);
    try {
      client.get(["/", path]);
      await eventually("both handlers", () => sessions.length === 2);
      sessions[0]?.close();
      await client.untilClosed();
      expect(heard).toEqual([["write", fault]]);
      expect(sessions[1]?.closeReason).toBe(path === "/" ? "error" : "completed");
      expect(served.hub.sessionCount).toBe(0);
    } finally {
      client.socket.destroy();
      await served.close();
    }
  },
);

it.each(WITH_WRITE_HEAD)(
  "$name: a hook on the head that throws affects nothing else after an origin was looked up",
  async (binding) => {
    const fault = new Error("A hook on the head failed");
    const { cors, isAsked, answer } = slowOrigin();
    const { heard, onError } = recordErrors();
    let session: Session | undefined;
    let isCut = false;
    const served = await binding.serve(
      (exchange) => {
        session = exchange.sse;
        failHead(exchange, fault);
        exchange.response.once("close", () => (isCut = true));
        void session.subscribe("t");
      },
      { cors, onError },
    );
    try {
      const client = await knock(served, "/");
      await eventually("the question", isAsked);
      expect(answer).not.toThrow();
      await eventually("the response to be cut", () => isCut);
      expect(heard).toEqual([["write", fault]]);
      expect(session?.closeReason).toBe("error");
      client.cut();
    } finally {
      await served.close();
    }
  },
);

it.each(HTTP1)(
  "$name: a hook on the head of a preflight that throws affects nothing else after an origin was looked up",
  async (binding) => {
    const fault = new Error("A hook on the head failed");
    const { cors, isAsked, answer } = slowOrigin();
    const { heard, onError } = recordErrors();
    const served = await binding.serve(() => {}, { cors, onError });
    served.server.prependListener("request", (_request, response: TestExchange["response"]) =>
      failHead({ response }, fault),
    );
    const client = await RawClient.open(served.port);
    try {
      const asking = `Origin: ${APP}\r\nAccess-Control-Request-Method: GET\r\n`;
      client.socket.write(`OPTIONS / HTTP/1.1\r\nHost: localhost\r\n${asking}\r\n`);
      await eventually("the question", isAsked);
      expect(answer).not.toThrow();
      await client.untilClosed();
      expect(heard).toEqual([["write", fault]]);
    } finally {
      await served.close();
    }
  },
);
