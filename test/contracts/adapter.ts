import { spawn } from "node:child_process";
import { once as onceOf } from "node:events";
import http from "node:http";
import type net from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";
import type { CloseReason, HubOptions, Session } from "@tidewire/core";
import { isSseError } from "@tidewire/core";
import { afterEach, describe, expect, it } from "vitest";
import { connect, eventually, knock, request, within } from "../client.js";
import type { RequestOptions, StreamClient } from "../client.js";
import type { Binding, Handler, Served, TestExchange } from "./bindings.js";

const EVENT_STREAM = { accept: "text/event-stream" };
/** Headers whose value, or whose presence on an answer without a body, is irrelevant to the comparison. */
const VARYING = new Set([
  "date",
  "retry-after",
  "transfer-encoding",
  "content-length",
  "keep-alive",
]);

/** Everything that a binding owes its users, whatever the framework: section "Opening" and "Closing" of docs/reference/wire.md. */
export function adapterContract(binding: Binding): void {
  describe(binding.name, () => {
    // Omitted where it does not apply, instead of skipped: a skip means that something is missing.
    const describeHttp1 = binding.protocol === "http1" ? describe : ignore;
    const describeHttp2 = binding.protocol === "http2" ? describe : ignore;
    const itWithErrorHandler = binding.hasErrorHandler ? it : ignore;
    const running: Served[] = [];
    const clients: StreamClient[] = [];

    afterEach(async () => {
      for (const client of clients.splice(0)) client.cut();
      for (const served of running.splice(0)) {
        await within("the server to close", served.close());
        expect(served.hub.sessionCount).toBe(0);
      }
    });

    async function serve(handler: Handler, options?: HubOptions): Promise<Served> {
      const served = await binding.serve(handler, options);
      running.push(served);
      return served;
    }

    async function get(
      served: Served,
      options: RequestOptions = {},
      path = "/",
    ): Promise<StreamClient> {
      const client = await request(served, path, options);
      clients.push(client);
      return client;
    }

    describe("opening", () => {
      it("answers 200 with the head of an event stream", async () => {
        const served = await serve(({ sse }) => sse.open());
        const client = await get(served, { headers: EVENT_STREAM });
        expect(client.status).toBe(200);
        expect(client.headers).toMatchObject({
          "content-type": "text/event-stream",
          "cache-control": "no-cache, no-store, no-transform",
          "x-accel-buffering": "no",
        });
        for (const name of ["content-length", "content-encoding", "etag"]) {
          expect(client.headers).not.toHaveProperty(name);
        }
      });

      it("sends a comment at once if there is nothing else to send", async () => {
        const served = await serve(({ sse }) => sse.open());
        const client = await get(served);
        expect(await client.until("\n\n")).toBe(":\n\n");
      });

      it("opens with the first send, which carries the reconnection time", async () => {
        const served = await serve(({ sse }) => sse.send({ event: "a", id: "1", data: { n: 1 } }));
        const client = await get(served);
        expect(await client.until("}\n\n")).toMatch(
          /^event: a\nid: 1\nretry: ([12]\d{3}|3000)\ndata: \{"n":1\}\n\n$/,
        );
      });

      it("keeps the headers that were set before, each of two cookies", async () => {
        const served = await serve(({ sse, setHeader }) => {
          setHeader("Set-Cookie", ["a=1", "b=2"]);
          setHeader("X-Request-Id", "r1");
          sse.open({ headers: { "Set-Cookie": "c=3", "X-Stream": "yes" } });
        });
        const client = await get(served);
        expect(client.headers["set-cookie"]).toEqual(["a=1", "b=2", "c=3"]);
        expect(client.headers["x-request-id"]).toBe("r1");
        expect(client.headers["x-stream"]).toBe("yes");
      });

      it("replaces a type, length, encoding and tag that were set before", async () => {
        const served = await serve(({ sse, setHeader }) => {
          setHeader("Content-Type", "application/json");
          setHeader("Content-Length", "10");
          setHeader("ETag", '"x"');
          setHeader("Content-Encoding", "identity");
          sse.open();
        });
        const client = await get(served);
        expect(client.headers["content-type"]).toBe("text/event-stream");
        for (const name of ["content-length", "etag", "content-encoding"]) {
          expect(client.headers).not.toHaveProperty(name);
        }
        await client.until(":\n\n");
      });

      it("opens with a requested status", async () => {
        const served = await serve(({ sse }) => sse.open({ status: 201 }));
        expect((await get(served)).status).toBe(201);
      });

      it("does not affect a route that only reads the session", async () => {
        const served = await serve(({ sse, answer }) =>
          answer(200, {
            state: sse.state,
            wantsEventStream: sse.wantsEventStream,
            lastEventId: sse.lastEventId,
          }),
        );
        const json = await get(served, { headers: { accept: "application/json" } });
        expect(json.status).toBe(200);
        expect(JSON.parse(await json.rest())).toEqual({
          state: "idle",
          wantsEventStream: false,
          lastEventId: "",
        });
        const asked = await get(served, { headers: EVENT_STREAM });
        expect(JSON.parse(await asked.rest())).toMatchObject({ wantsEventStream: true });
      });

      it("answers with a status that was decided after an await", async () => {
        const reasons: CloseReason[] = [];
        const served = await serve(async ({ sse, answer }) => {
          sse.onClose((reason) => reasons.push(reason));
          await tick();
          answer(401, { error: "who are you" });
        });
        const client = await get(served, { headers: EVENT_STREAM });
        expect(client.status).toBe(401);
        expect(await client.rest()).toBe('{"error":"who are you"}');
        await eventually("the session to close", () => reasons.length === 1);
      });

      it("reads the last event ID from the header as UTF-8, else from the query", async () => {
        const served = await serve(({ sse, answer }) => answer(200, sse.lastEventId || "none"));
        const read = async (path: string, headers: Record<string, string>): Promise<string> =>
          JSON.parse(await (await get(served, { headers }, path)).rest()) as string;
        const utf8 = Buffer.from("é漢").toString("latin1");
        // Fastify sends a bare string as text. Quoted, it reads the same with every framework.
        const quoted = async (path: string, headers: Record<string, string>): Promise<string> =>
          read(path, headers).catch(async () => (await get(served, { headers }, path)).rest());
        expect(await quoted("/?lastEventId=q", { "last-event-id": utf8 })).toBe("é漢");
        expect(await quoted("/?lastEventId=%C3%A9", {})).toBe("é");
        expect(await quoted("/", {})).toBe("none");
      });

      it("passes a client that refuses event streams to the error handler as 406", async () => {
        const seen: unknown[] = [];
        const served = await serve(async ({ sse }) => {
          seen.push(sse.open(), sse.state, await sse.send("x"));
          sse.onClose((reason) => seen.push(reason));
        });
        const client = await get(served, { headers: { accept: "text/html" } });
        expect(client.status).toBe(406);
        expect(client.headers["content-type"]).not.toContain("event-stream");
        await client.rest();
        expect(seen).toEqual([false, "closed", false, "refused"]);
      });

      it("accepts a client without Accept and one that accepts anything", async () => {
        const served = await serve(({ sse }) => sse.open());
        expect((await get(served, {})).status).toBe(200);
        expect((await get(served, { headers: { accept: "*/*" } })).status).toBe(200);
        expect((await get(served, { headers: { accept: "text/*;q=0.1" } })).status).toBe(200);
      });

      it("answers HEAD with the head only and keeps no session", async () => {
        const reasons: CloseReason[] = [];
        const served = await serve(async ({ sse }) => {
          sse.onClose((reason) => reasons.push(reason));
          expect(await sse.send("x")).toBe(false);
        });
        const client = await get(served, { method: "HEAD" });
        expect(client.status).toBe(200);
        expect(client.headers["content-type"]).toBe("text/event-stream");
        expect(client.headers).not.toHaveProperty("content-length");
        expect(await client.rest()).toBe("");
        expect(reasons).toEqual(["ended"]);
        expect(served.hub.sessionCount).toBe(0);
      });

      it("answers HEAD with the status and the headers that GET gets, however the route ends", async () => {
        const routes: ((session: Session) => unknown)[] = [
          (sse) => sse.open({ status: 201 }),
          (sse) => sse.subscribe("news"),
          (sse) => sse.close(),
          (sse) => sse.complete(),
          (sse) => sse.complete("last"),
          (sse) => (sse.open(), sse.complete()),
          (sse) => (sse.subscribe("news"), sse.complete()),
          (sse) => (sse.subscribe("news"), sse.complete("last")),
        ];
        let [route] = routes as [(session: Session) => unknown];
        const served = await serve(({ sse }) => route(sse), { maxSessions: 2 });
        /** For both methods: the status and everything else that tells a client how it was answered. */
        const ask = async (accept: string): Promise<unknown[]> => {
          const heads: unknown[] = [];
          for (const method of ["GET", "HEAD"]) {
            const client = await get(served, { method, headers: { accept } });
            const others = Object.entries(client.headers).filter(([name]) => !VARYING.has(name));
            const isRetried = client.headers["retry-after"] !== undefined;
            heads.push({ status: client.status, others, isRetried });
            if (method === "HEAD") bodies.add(await client.rest());
            client.cut();
          }
          return heads;
        };
        const bodies = new Set<string>();
        const differ: unknown[] = [];
        const compare = async (state: string): Promise<void> => {
          for (const accept of ["text/event-stream", "*/*"]) {
            for (route of routes) {
              const [got, asked] = await ask(accept);
              if (!isDeepStrictEqual(got, asked)) differ.push([state, accept, String(route), got]);
              if (state === "open")
                await eventually("its end", () => served.hub.sessionCount === 0);
            }
          }
        };
        await compare("open");
        [route] = routes as [(session: Session) => unknown];
        const holders = [await get(served), await get(served)];
        await eventually("the hub to be full", () => served.hub.sessionCount === 2);
        await compare("full");
        for (const holder of holders) holder.cut();
        await served.hub.close();
        await compare("closing");
        expect(differ).toEqual([]);
        expect([...bodies]).toEqual([""]);
      });

      it("throws on invalid options, and the route can still answer", async () => {
        const served = await serve(({ sse, answer }) => {
          try {
            sse.open({ status: 404 });
          } catch (error) {
            answer(500, isSseError(error) ? error.code : "none");
          }
        });
        const client = await get(served);
        expect(client.status).toBe(500);
        expect(await client.rest()).toContain("ERR_SSE_INVALID_OPTION");
      });

      it("throws on a bad field before a byte is written, and the route can still answer", async () => {
        const served = await serve(({ sse, answer }) => {
          try {
            void sse.send({ data: "x", id: "a\nb" });
          } catch (error) {
            answer(400, isSseError(error) ? error.code : "none");
          }
        });
        const client = await get(served);
        expect(client.status).toBe(400);
        expect(await client.rest()).toContain("ERR_SSE_INVALID_FIELD");
      });

      it("throws if the route has already answered, or if options come too late", async () => {
        const codes: unknown[] = [];
        const attempt = (act: () => unknown): void => {
          try {
            act();
          } catch (error) {
            codes.push(isSseError(error) && error.code);
          }
        };
        const served = await serve(({ sse, answer, request: { url } }) => {
          if (url === "/open") {
            sse.open();
            attempt(() => sse.open({ status: 201 }));
            sse.close();
          } else {
            answer(200, {});
            attempt(() => sse.send("x"));
          }
        });
        await (await get(served, {}, "/open")).rest();
        await (await get(served, {}, "/json")).rest();
        expect(codes).toEqual(["ERR_SSE_HEADERS_SENT", "ERR_SSE_HEADERS_SENT"]);
      });

      it("streams to a POST whose body was read", async () => {
        const reasons: CloseReason[] = [];
        const served = await serve(async (exchange) => {
          const body = await bodyOf(exchange);
          const { sse } = exchange;
          sse.onClose((reason) => reasons.push(reason));
          await sse.send(`got ${body}`);
        });
        const client = await get(served, { method: "POST", body: "hello" });
        await client.until("data: got hello\n\n");
        expect(served.hub.sessionCount).toBe(1);
        client.cut();
        await eventually("the session to close", () => reasons.length === 1);
        expect(reasons).toEqual(["client"]);
      });

      it("streams to a POST whose body is not read, and detects when its client has left", async () => {
        const reasons: CloseReason[] = [];
        const served = await serve(
          async ({ sse }) => {
            sse.onClose((reason) => reasons.push(reason));
            await sse.send("hello");
          },
          { heartbeatMs: 1_000 },
        );
        const client = await get(served, { method: "POST", body: "x".repeat(200_000) });
        await client.until("data: hello\n\n");
        expect(reasons).toEqual([]);
        client.cut();
        await eventually("the session to close", () => reasons.length === 1);
        expect(reasons).toEqual(["client"]);
      });

      it("answers a client that comes back after complete() with 204", async () => {
        const seen: unknown[] = [];
        const served = await serve(({ sse }) => {
          seen.push(sse.open());
          sse.onClose((reason) => seen.push(reason));
        });
        const client = await get(served, { headers: { ...EVENT_STREAM, "last-event-id": "~end" } });
        expect(client.status).toBe(204);
        expect(await client.rest()).toBe("");
        expect(seen).toEqual([false, "completed"]);
      });

      it("removes an earlier Content-Length from an answer without a body", async () => {
        const served = await serve(
          ({ sse, setHeader, request: { url } }) => {
            if (url !== "/first") setHeader("Content-Length", "3");
            sse.open();
          },
          { maxSessions: 1 },
        );
        await (await get(served, {}, "/first")).until(":\n\n");
        const completed = await get(served, { headers: { "last-event-id": "~end" } });
        expect(completed.status).toBe(204);
        expect(completed.headers).not.toHaveProperty("content-length");
        const busy = await get(served);
        expect(busy.status).toBe(503);
        expect(busy.headers["content-length"] ?? "0").toBe("0");
        expect(await busy.rest()).toBe("");
      });

      it("turns away clients beyond maxSessions: EventSource is held, others get 503", async () => {
        const served = await serve(({ sse }) => sse.open(), { maxSessions: 1 });
        const first = await get(served, { headers: EVENT_STREAM });
        await first.until(":\n\n");

        const source = await get(served, { headers: EVENT_STREAM });
        expect(source.status).toBe(200);
        expect(await source.until("\n\n")).toBe(":\n\n");
        expect(served.hub.stats()).toMatchObject({ sessions: { open: 1 }, held: 1, turnedAway: 1 });

        const other = await get(served);
        expect(other.status).toBe(503);
        expect(Number(other.headers["retry-after"])).toBeGreaterThanOrEqual(5);
        await other.rest();
        expect(served.hub.stats()).toMatchObject({ sessions: { open: 1 }, held: 1, turnedAway: 2 });

        first.cut();
        await eventually("the first session to close", () => served.hub.sessionCount === 0);
        const again = await get(served, { headers: EVENT_STREAM });
        await again.until(":\n\n");
        expect(served.hub.sessionCount).toBe(1);
        expect([source.text, source.isEnded]).toEqual([":\n\n", false]);
        source.cut();
        await eventually("the held client to be forgotten", () => served.hub.stats().held === 0);
      });
    });

    describe("CORS", () => {
      const origin = "https://app.example";

      it("lets a page of an allowed origin read the stream, and answers its preflight", async () => {
        const served = await serve(({ sse }) => sse.open(), {
          cors: { origin: [origin], credentials: true, allowedHeaders: ["Authorization"] },
        });
        const client = await get(served, { headers: { origin } });
        expect(client.headers).toMatchObject({
          "access-control-allow-origin": origin,
          "access-control-allow-credentials": "true",
          vary: "Origin",
        });
        const preflight = await get(served, {
          method: "OPTIONS",
          headers: {
            origin,
            "access-control-request-method": "GET",
            "access-control-request-headers": "authorization,last-event-id",
          },
        });
        expect(preflight.status).toBe(204);
        expect(preflight.headers).toMatchObject({
          "access-control-allow-origin": origin,
          "access-control-allow-methods": "GET,HEAD",
          "access-control-allow-headers": "Last-Event-ID,Authorization",
          "access-control-allow-credentials": "true",
        });
      });

      it("leaves the preflight of another origin or method to the application", async () => {
        const served = await serve(
          ({ sse, answer, request: { method } }) => {
            if (method === "OPTIONS") answer(418, {});
            else sse.open();
          },
          { cors: { origin: [origin] } },
        );
        for (const headers of [
          { origin: "https://evil.example", "access-control-request-method": "GET" },
          { origin, "access-control-request-method": "DELETE" },
        ]) {
          const preflight = await get(served, { method: "OPTIONS", headers });
          expect(preflight.status).not.toBe(204);
          expect(preflight.headers).not.toHaveProperty("access-control-allow-origin");
        }
        const other = await get(served, { headers: { origin: "https://evil.example" } });
        expect(other.headers).not.toHaveProperty("access-control-allow-origin");
      });

      it("waits for an asynchronous origin, and delivers messages sent meanwhile", async () => {
        const served = await serve(
          ({ sse }) => {
            void sse.send("early");
            expect(sse.state).toBe("connecting");
            sse.close();
          },
          { cors: { origin: (_origin, callback) => void setImmediate(callback, null, true) } },
        );
        const client = await get(served, { headers: { origin } });
        expect(client.headers["access-control-allow-origin"]).toBe(origin);
        expect(await client.rest()).toMatch(/^retry: \d+\ndata: early\n\n$/);
      });

      it("passes the error of an origin function to the error handler, or to onError without one", async () => {
        const stages: string[] = [];
        const served = await serve(({ sse }) => sse.open(), {
          cors: { origin: (_origin, callback) => void setImmediate(callback, new Error("no")) },
          onError: (_error, { stage }) => void stages.push(stage),
        });
        const client = await get(served, { headers: { origin } });
        expect(client.status).toBe(500);
        await client.rest();
        expect(served.hub.sessionCount).toBe(0);
        expect(stages).toEqual(binding.hasErrorHandler ? [] : ["cors"]);
      });
    });

    describe("closing", () => {
      it("notices a client that leaves, by FIN and by RST, and forgets it", async () => {
        for (const how of ["fin", "rst"] as const) {
          const reasons: CloseReason[] = [];
          let session: Session | undefined;
          const served = await serve(({ sse }) => {
            session = sse;
            sse.onClose((reason) => reasons.push(reason));
            sse.open();
          });
          const client = await get(served);
          await client.until(":\n\n");
          expect(served.hub.sessionCount).toBe(1);
          const { signal } = session as Session;
          client.cut(how);
          await eventually("the session to close", () => reasons.length === 1);
          expect(reasons).toEqual(["client"]);
          expect(served.hub.sessionCount).toBe(0);
          expect(signal.reason).toMatchObject({ name: "AbortError", cause: "client" });
          expect(await session?.send("x")).toBe(false);
          expect(session?.state).toBe("closed");
        }
      });

      it("ends a fetch, a timer and a child process that were given the signal, as any abort does", async () => {
        const upstream = http.createServer(() => {}).listen(0, "127.0.0.1");
        await onceOf(upstream, "listening");
        const { port } = upstream.address() as net.AddressInfo;
        const ends: unknown[] = [];
        const served = await serve(async ({ sse }) => {
          sse.open();
          const { signal } = sse;
          const child = spawn("sleep", ["60"], { signal });
          const waits = [
            fetch(`http://127.0.0.1:${port}/`, { signal }),
            delay(60_000, undefined, { signal }),
            onceOf(child, "exit"),
          ];
          for (const wait of waits) {
            await wait.then(
              () => ends.push("resolved"),
              (error: unknown) => ends.push((error as Error).name),
            );
          }
        });
        const client = await get(served);
        await client.until(":\n\n");
        client.cut();
        await eventually("all to end", () => ends.length === 3);
        expect(ends).toEqual(["AbortError", "AbortError", "AbortError"]);
        upstream.closeAllConnections();
        upstream.close();
      });

      it("calls onClose at once with the reason when it is added late", async () => {
        const seen: unknown[] = [];
        const served = await serve(({ sse }) => {
          sse.open();
          sse.close();
          sse.onClose((reason) => seen.push(reason));
          seen.push("after");
        });
        await (await get(served)).rest();
        expect(seen).toEqual(["ended", "after"]);
      });

      it("is closed from the start if the client had left before the handler read it", async () => {
        const states: unknown[] = [];
        let isGone = (): boolean => false;
        const served = await serve(async (exchange) => {
          const { response, request: incoming } = exchange;
          const { socket } = incoming;
          isGone = () => socket.destroyed || ("stream" in response && response.stream.destroyed);
          states.push("waiting");
          await eventually("the client to leave", () => states.includes("left") && goneSafely());
          const { sse } = exchange;
          sse.onClose((reason) => states.push(reason));
          states.push(sse.state, await sse.send("x"), sse.open());
        });
        function goneSafely(): boolean {
          try {
            return isGone();
          } catch {
            return true;
          }
        }
        const visitor = await knock(served, "/");
        await eventually("the handler to run", () => states.includes("waiting"));
        visitor.cut();
        states.push("left");
        await eventually("the handler to end", () => states.length === 6);
        expect(states).toEqual(["waiting", "left", "client", "closed", false, false]);
        expect(served.hub.sessionCount).toBe(0);
      });

      it("is closed from the start on a response that is over", async () => {
        const seen: unknown[] = [];
        const served = await serve((exchange) => {
          exchange.answer(200, {});
          exchange.response.on("close", () => {
            setImmediate(() => {
              const { sse } = exchange;
              sse.onClose((reason) => seen.push(reason));
              seen.push(sse.state);
            });
          });
        });
        await (await get(served)).rest();
        await eventually("the session to be made", () => seen.length === 2);
        expect(seen).toEqual(["ended", "closed"]);
      });

      it("closes while the handler waits, before anything was sent", async () => {
        const seen: unknown[] = [];
        const served = await serve(async ({ sse }) => {
          const closed = new Promise<void>((resolve) => {
            sse.onClose((reason) => {
              seen.push(reason);
              resolve();
            });
          });
          seen.push("waiting");
          await closed;
          seen.push(sse.state, await sse.send("x"));
        });
        const visitor = await knock(served, "/");
        await eventually("the handler to wait", () => seen.length === 1);
        visitor.cut();
        await eventually("the handler to end", () => seen.length === 4);
        expect(seen).toEqual(["waiting", "client", "closed", false]);
      });

      it("settles every send that waits for a client that then leaves", async () => {
        const results: boolean[] = [];
        let waiting = 0;
        const served = await serve(
          async ({ sse }) => {
            const block = "x".repeat(256 * 1024);
            for (let i = 0; i < 64; i++) {
              const sent = sse.send(block);
              if (sse.bufferedBytes > 512 * 1024) {
                waiting += 1;
                void sent.then((isOpen) => results.push(isOpen));
                void sse.send("more").then((isOpen) => results.push(isOpen));
                break;
              }
              await tick();
            }
          },
          { maxBufferedBytes: 16 * 1024 * 1024 },
        );
        const client = await get(served, { paused: true });
        await eventually("a send to wait", () => waiting === 1);
        await tick();
        expect(results).toEqual([]);
        client.cut("rst");
        await eventually("the sends to settle", () => results.length === 2);
        expect(results).toEqual([false, false]);
      });

      it("continues when a slow client reads the held-back data, and loses nothing", async () => {
        const block = "w".repeat(64 * 1024);
        const count = 200;
        const served = await serve(async ({ sse }) => {
          for (let i = 0; i < count; i++) {
            expect(await sse.send({ id: String(i), data: block })).toBe(true);
          }
          sse.close();
        });
        const client = await get(served, { paused: true });
        await new Promise((resolve) => setTimeout(resolve, 100));
        client.resume();
        const text = await client.rest();
        expect(text.match(/^id: \d+$/gm)).toEqual(
          Array.from({ length: count }, (_, i) => `id: ${i}`),
        );
        expect(text.match(/w+/g)?.every((run) => run.length === block.length)).toBe(true);
      });

      it("closes with slow when a client reads nothing and too much is sent", async () => {
        const reasons: CloseReason[] = [];
        const served = await serve(({ sse }) => {
          sse.onClose((reason) => reasons.push(reason));
          const timer = setInterval(() => void sse.send("z".repeat(512 * 1024)), 1);
          sse.onClose(() => clearInterval(timer));
        });
        await get(served, { paused: true });
        await eventually("the session to close", () => reasons.length === 1);
        expect(reasons).toEqual(["slow"]);
        expect(served.hub.sessionCount).toBe(0);
      });

      it("accepts a burst within one tick to a client that keeps up", async () => {
        const count = 2_000;
        const served = await serve(({ sse }) => {
          for (let i = 0; i < count; i++) void sse.send({ id: String(i), data: "b".repeat(200) });
          sse.close();
        });
        const text = await (await get(served)).rest();
        expect(text.match(/^id: /gm)).toHaveLength(count);
      });

      it("ends with close(), and the client may come back", async () => {
        const reasons: CloseReason[] = [];
        const served = await serve(({ sse }) => {
          sse.onClose((reason) => reasons.push(reason));
          void sse.send("last");
          sse.close();
          sse.close();
        });
        expect(await (await get(served)).rest()).toMatch(/^retry: \d+\ndata: last\n\n$/);
        expect(reasons).toEqual(["ended"]);
      });

      it("opens the stream of an idle session that is closed, so that the client gets an answer", async () => {
        const served = await serve(({ sse }) => sse.close());
        const client = await get(served);
        expect(client.status).toBe(200);
        expect(await client.rest()).toBe(":\n\n");
      });

      it("ends with complete(), which tells the client not to come back", async () => {
        const reasons: CloseReason[] = [];
        const served = await serve(({ sse }) => {
          sse.onClose((reason) => reasons.push(reason));
          sse.open();
          void sse.complete();
        });
        const client = await get(served, { headers: EVENT_STREAM });
        expect(await client.rest()).toBe("event: sse-complete\nid: ~end\ndata: {}\n\n");
        expect(reasons).toEqual(["completed"]);
      });

      it("completes with the application's last message, once it is on its way", async () => {
        const outcomes: unknown[] = [];
        const served = await serve(async ({ sse }) => {
          outcomes.push(await sse.complete({ event: "done", data: { total: 3 } }));
        });
        const source = await get(served, { headers: EVENT_STREAM });
        expect(await source.rest()).toMatch(
          /^event: done\nid: ~end\nretry: \d+\ndata: \{"total":3\}\n\n$/,
        );
        const other = await get(served, { method: "POST" });
        expect(await other.rest()).toMatch(/^event: done\nretry: \d+\ndata: \{"total":3\}\n\n$/);
        await eventually("both to be handed over", () => outcomes.length === 2);
        expect(outcomes).toEqual([true, true]);
      });

      it("completes with false if the client leaves before it has the last bytes", async () => {
        let outcome: boolean | undefined;
        const served = await serve(
          async ({ sse }) => {
            void sse.send("x".repeat(20_000_000));
            outcome = await sse.complete("last");
          },
          { maxEventBytes: 30_000_000, maxBufferedBytes: 30_000_000 },
        );
        const client = await get(served, { headers: EVENT_STREAM, paused: true });
        await eventually("the session to close", () => served.hub.sessionCount === 0);
        client.cut();
        await eventually("complete() to settle", () => outcome !== undefined);
        expect(outcome).toBe(false);
      });

      it("answers 204 if complete() is the only call", async () => {
        const served = await serve(({ sse }) => void sse.complete());
        const client = await get(served, { headers: EVENT_STREAM });
        expect([client.status, await client.rest()]).toEqual([204, ""]);
      });

      it("notices when other code ends or destroys the response", async () => {
        for (const how of ["end", "destroy"] as const) {
          const seen: unknown[] = [];
          const served = await serve(async ({ sse, response }) => {
            sse.onClose((reason) => seen.push(reason));
            await sse.send("one");
            if (how === "end") response.end();
            else response.destroy();
            seen.push(await sse.send("two"), sse.state);
          });
          expect(await (await get(served)).rest()).not.toContain("two");
          await eventually("the session to close", () => seen.length === 3);
          expect(seen).toEqual([how === "end" ? "ended" : "client", false, "closed"]);
          expect(served.hub.sessionCount).toBe(0);
        }
      });

      itWithErrorHandler(
        "leaves the answer to the error handler when a handler throws before the head",
        async () => {
          const reasons: CloseReason[] = [];
          const served = await serve(async ({ sse }) => {
            sse.onClose((reason) => reasons.push(reason));
            await tick();
            throw new Error("before");
          });
          const client = await get(served);
          expect(client.status).toBe(500);
          await client.rest();
          await eventually("the session to close", () => reasons.length === 1);
        },
      );

      it("ends the stream when a handler throws after the head", async () => {
        const reasons: CloseReason[] = [];
        const served = await serve(async ({ sse }) => {
          sse.onClose((reason) => reasons.push(reason));
          await sse.send("one");
          await tick();
          throw new Error("after");
        });
        const client = await get(served);
        const text = await client.rest();
        expect(text).toContain("data: one");
        expect(text).not.toContain("after");
        await eventually("the session to close", () => reasons.length === 1);
        expect(served.hub.sessionCount).toBe(0);
      });

      it("expires after maxStreamMs", async () => {
        const reasons: CloseReason[] = [];
        const served = await serve(({ sse }) => {
          sse.onClose((reason) => reasons.push(reason));
          sse.open({ maxStreamMs: 1_000 });
        });
        await (await get(served)).rest();
        expect(reasons).toEqual(["expired"]);
      });

      it("sends a heartbeat when nothing else was written", async () => {
        const served = await serve(({ sse }) => sse.open({ heartbeatMs: 1_000 }));
        const client = await get(served);
        await client.until(/^:\n\n:\n\n:\n\n/);
      });

      it("ends open streams without a message when the hub closes, and turns new ones away", async () => {
        const reasons: CloseReason[] = [];
        const served = await serve(({ sse }) => {
          sse.onClose((reason) => reasons.push(reason));
          sse.open();
        });
        const client = await get(served);
        await client.until(":\n\n");
        const closing = served.hub.close();
        expect(served.hub.close()).toBe(closing);
        await within("the hub to close", closing);
        expect(await client.rest()).toBe(":\n\n");
        expect(client.isBroken).toBe(false);
        expect(reasons).toEqual(["shutdown"]);

        const late = await get(served, { headers: EVENT_STREAM });
        expect(late.status).toBe(200);
        expect(await late.rest()).toBe(":\n\n");
        expect(late.isBroken).toBe(true);
        expect((await get(served)).status).toBe(503);
        expect(reasons).toEqual(["shutdown", "shutdown", "shutdown"]);
      });

      it("shuts down with streams open, a stalled one among them", async () => {
        const served = await serve(
          async ({ sse, request: { url } }) => {
            sse.open();
            if (url !== "/stalled") return;
            while (sse.bufferedBytes < 1_000_000 && sse.state !== "closed") {
              void sse.send("s".repeat(200_000));
              await tick();
            }
          },
          { maxBufferedBytes: 100_000_000 },
        );
        await get(served, { paused: true }, "/stalled");
        for (let i = 0; i < 5; i++) await (await get(served)).until(":\n\n");
        await eventually("all sessions to open", () => served.hub.sessionCount === 6);
        await within("the hub to close", served.hub.close(), 2_000);
        // An HTTP/2 connection outlives its streams: the client has to close it.
        if (binding.protocol === "http2") for (const client of clients) client.cut();
        await within("the server to close", served.close(), 2_000);
        expect(served.hub.sessionCount).toBe(0);
      });
    });

    describeHttp1("HTTP/1", () => {
      it("sends head and opening together", async () => {
        const served = await serve(({ sse }) => sse.open());
        const socket = await connect(served.port);
        socket.write("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
        const first = await within("a packet", once(socket));
        expect(first).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
        expect(first).toMatch(/\r\n\r\n[0-9a-f]+\r\n:\n\n\r\n$/);
        socket.destroy();
      });

      it("streams over HTTP/1.0 without chunks and ends by closing the connection", async () => {
        const served = await serve(async ({ sse }) => {
          await sse.send("old");
          await tick();
          sse.close();
        });
        const socket = await connect(served.port);
        socket.write("GET / HTTP/1.0\r\nHost: localhost\r\n\r\n");
        const text = await within("the end", whole(socket));
        expect(text).not.toMatch(/transfer-encoding/i);
        expect(text).toMatch(/\r\n\r\nretry: \d+\ndata: old\n\n$/);
      });

      it("leaves the connection usable for the next request", async () => {
        const served = await serve(({ sse, answer, request: { url } }) => {
          if (url === "/json") answer(200, { next: true });
          else sse.close();
        });
        const socket = await connect(served.port);
        socket.write("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
        const text = collect(socket);
        await eventually("the end of the stream", () => text().endsWith("0\r\n\r\n"));
        socket.write("GET /json HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        await eventually("the answer", () => text().includes('{"next":true}'));
        socket.destroy();
      });

      it("watches many pipelined requests with one listener", async () => {
        const sessions: Session[] = [];
        const served = await serve(({ sse }) => {
          sessions.push(sse);
          sse.open();
        });
        const socket = await connect(served.port);
        socket.write("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(20));
        // Any warning about too many listeners fails the test.
        await eventually("all sessions", () => sessions.length === 20);
        // One connection has one open stream: the others wait for their turn.
        await eventually("the first stream", () => served.hub.sessionCount === 1);
        socket.destroy();
        await eventually("all sessions to close", () =>
          sessions.every(({ state }) => state === "closed"),
        );
        expect(served.hub.sessionCount).toBe(0);
      });

      it("holds a pipelined stream until its turn, and releases it when the connection breaks", async () => {
        const reasons: string[] = [];
        let first: Session | undefined;
        let requests = 0;
        const served = await serve(({ sse, request: { url } }) => {
          requests += 1;
          if (url === "/1") first = sse;
          sse.onClose((reason) => reasons.push(`${url} ${reason}`));
          void sse.send(`stream ${url}`);
        });
        const pipelined =
          "GET /1 HTTP/1.1\r\nHost: localhost\r\n\r\nGET /2 HTTP/1.1\r\nHost: localhost\r\n\r\n";

        const socket = await connect(served.port);
        socket.write(pipelined);
        const text = collect(socket);
        await eventually("both requests", () => requests === 2);
        await eventually("the first stream", () => text().includes("data: stream /1"));
        expect(text()).not.toContain("stream /2");
        first?.close();
        await eventually("the second stream", () => text().includes("data: stream /2"));
        socket.destroy();
        await eventually("both sessions to close", () => reasons.length === 2);
        expect(reasons).toEqual(["/1 ended", "/2 client"]);

        const broken = await connect(served.port);
        broken.write(pipelined);
        await eventually("both requests", () => requests === 4);
        expect(served.hub.sessionCount).toBe(1);
        broken.destroy();
        await eventually("both sessions to close", () => reasons.length === 4);
        expect(reasons.slice(2).toSorted()).toEqual(["/1 client", "/2 client"]);
        expect(served.hub.sessionCount).toBe(0);
      });
    });

    describeHttp2("HTTP/2", () => {
      it("resets the stream of a slow client with an error, which clients do not treat as an orderly end", async () => {
        const reasons: CloseReason[] = [];
        const served = await serve(
          async ({ sse }) => {
            sse.onClose((reason) => reasons.push(reason));
            while (sse.state !== "closed") {
              void sse.send("s".repeat(200_000));
              await tick();
            }
          },
          { maxBufferedBytes: 500_000 },
        );
        const client = await get(served, { paused: true });
        await eventually("the session to close", () => reasons.length === 1);
        client.resume();
        await client.rest();
        expect([reasons, client.isBroken]).toEqual([["slow"], true]);
      });

      it("sets no header that HTTP/2 forbids", async () => {
        const served = await serve(({ sse }) => sse.open());
        const client = await get(served);
        expect(client.headers).not.toHaveProperty("connection");
        expect(client.headers).not.toHaveProperty("transfer-encoding");
        expect(client.headers).not.toHaveProperty("keep-alive");
      });
    });
  });
}

function ignore(): void {}

async function bodyOf({ request: incoming }: TestExchange): Promise<string> {
  let body = "";
  for await (const part of incoming) body += String(part);
  return body;
}

function tick(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

function collect(socket: net.Socket): () => string {
  let text = "";
  socket.on("data", (part) => (text += part.toString("latin1")));
  return () => text;
}

function once(socket: net.Socket): Promise<string> {
  return new Promise((resolve) => {
    socket.once("data", (part) => resolve(part.toString("latin1")));
  });
}

function whole(socket: net.Socket): Promise<string> {
  const text = collect(socket);
  return new Promise((resolve) => {
    socket.once("close", () => resolve(text()));
  });
}
