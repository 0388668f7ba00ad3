/** Responses that somebody else answers before their stream has started. */

import type { CorsOptions } from "cors";
import type { Session } from "@tidewire/core";
import { expect, it } from "vitest";
import { eventually, request } from "../client.js";
import { BINDINGS } from "./bindings.js";
import type { TestExchange } from "./bindings.js";
import { RawClient } from "./raw-capture.js";

const HTTP1 = BINDINGS.filter(({ protocol }) => protocol === "http1");

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
      await eventually("its turn", () => sessions[1]?.closeReason === "closed");
      expect(served.hub.channel("t").subscriptionCount).toBe(1);
      second!.response.end();
      // The connection goes on with the next request.
      await eventually("the last turn", () => sessions[2]?.state === "open");
      const text = client.bytes.toString();
      expect(text.match(/HTTP\/1\.1 \d+/g)).toEqual([
        "HTTP/1.1 200",
        "HTTP/1.1 503",
        "HTTP/1.1 200",
      ]);
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
      expect(exchange!.sse.closeReason).toBe("closed");
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
