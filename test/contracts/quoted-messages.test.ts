/** Compares error messages quoted in the docs with the real ones. */

import { readFileSync, readdirSync } from "node:fs";
import { createServer } from "node:http";
import type { ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { createHub, createPublisher, isSseError, memoryLog } from "@tidewire/core";
import type { Session } from "@tidewire/core";
import { sse, sseHandler } from "@tidewire/express";
import { redisLog } from "@tidewire/redis";
import { createRuns, memoryTapes } from "@tidewire/runs";
import express from "express";
import { beforeAll, describe, expect, it } from "vitest";

const ROOT = new URL("../../", import.meta.url);
/** How a message in the middle of a text begins, if the page quotes the whole of it. */
const MESSAGE = /^(?:Expected|Unknown option|Could not) .*\w \w/;
/** The page of errors: each line of its blocks of text is a message. */
const PAGE_OF_ERRORS = "docs/reference/errors.md";

/** For calls that do not compile. */
function untyped(value: unknown): never {
  return value as never;
}

function isText(language: string | undefined): boolean {
  return language === "" || language === "text";
}

/** Every quoted message with its page. */
function quotedMessages(): Map<string, string> {
  const pages = readdirSync(new URL("docs/", ROOT), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".md") && !/node_modules|reference\/api|\.vitepress/.test(name))
    .map((name) => `docs/${name}`);
  const quoted = new Map<string, string>();
  for (const page of [...pages, "README.md"]) {
    /** The language of the block around the line; `undefined` outside of blocks. */
    let language: string | undefined;
    for (const line of readFileSync(new URL(page, ROOT), "utf8").split("\n")) {
      const [, fence] = /^ *```(.*)$/.exec(line) ?? [];
      if (fence !== undefined) language = language === undefined ? fence : undefined;
      else if (page === PAGE_OF_ERRORS && isText(language)) quoted.set(line, page);
      else if (language === undefined || isText(language)) {
        const spans = [...line.matchAll(/(`+)(.+?)\1/g)].map(([, , code]) => (code ?? "").trim());
        for (const text of [line, ...spans]) if (MESSAGE.test(text)) quoted.set(text, page);
      }
    }
  }
  return quoted;
}

/** Messages of the calls, collected here before the pages are read. */
const said = new Set<string>();

async function hear(call: () => unknown): Promise<void> {
  try {
    await call();
  } catch (error) {
    if (!isSseError(error)) throw error;
    said.add(error.message);
  }
}

function heard(error: unknown): void {
  if (error instanceof Error) said.add(error.message);
}

/** Runs a function with a session whose request comes over a connection. */
async function withSession(
  fn: (session: Session, response: ServerResponse) => unknown,
): Promise<void> {
  const hub = createHub({ onError: heard });
  let isDone: Promise<unknown> = Promise.resolve();
  const server = createServer((request, response) => {
    const session = hub.createSession({ request, response }) as Session;
    isDone = (async () => fn(session, response))().finally(() => {
      session.close();
      response.end();
    });
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  const { port } = server.address() as AddressInfo;
  const response = await fetch(`http://127.0.0.1:${port}/`);
  await response.text();
  await isDone;
  await hub.close();
  server.closeAllConnections();
  server.close();
}

/** Mistakes that need no request. */
async function makeStaticMistakes(): Promise<void> {
  const hub = createHub({ onError: heard });
  const log = memoryLog();
  createHub({ log });
  const options: unknown[] = [
    { heartbeatMs: 0 },
    { heartbeat: 1 },
    { retention: { maxAge: 1 } },
    { retention: { maxEvents: 0 } },
    { cors: { credentials: true } },
    { reconnectionTimeMs: { min: 5, max: 1 } },
    { authorize: () => true, authorizeAll: () => true },
    { log },
    { presence: true },
  ];
  for (const each of options) await hear(() => createHub(untyped(each)));
  await hear(() => hub.presence("news"));
  await hear(() => sse(untyped(hub)));
  await hear(() => sse(untyped({ hub, heartbeatMs: 1_000 })));
  await hear(() => sse(untyped({ hub: {} })));
  await hear(() => sse({ property: "write" }));
  await hear(() => createPublisher({ log: memoryLog() }));
  await hear(() => hub.createSession(untyped({})));
  const publish = hub.publish.bind(hub) as (...args: unknown[]) => unknown;
  await hear(() => publish("news", "headline", { title: "a" }));
  await hear(() => publish("", "x"));
  await hear(() => publish("~x", "x"));
  await hear(() => publish("news", { event: "a" }));
  await hear(() => publish("news", { id: "7", data: "x" }));
  await hear(() => publish("news", { data: "x".repeat(2_000_000) }));
  await hear(() => publish("news", { retry: 5 }));
  await hub.close();
  await hear(() => hub.publish("news", "x"));
}

async function makeMistakesOfSessions(): Promise<void> {
  await withSession(async (session) => {
    const send = session.send.bind(session) as (...args: unknown[]) => unknown;
    const messages: unknown[] = [
      { event: "a\nb", data: "" },
      { event: "sse-x", data: "" },
      { id: "a\nb", data: "" },
      { id: "~end", data: "" },
      { retry: -1, data: "" },
      { event: "tick" },
      { data: 1n },
      { data: () => 1 },
      { dat: 1 },
      null,
      { data: "x".repeat(2_000_000) },
    ];
    for (const message of messages) await hear(() => send(message));
    await hear(() => send("tick", { n: 1 }));
    await hear(() => session.complete(untyped({ id: "7", data: "x" })));
    await hear(() => session.comment(untyped(5)));
    await hear(() => session.stream(untyped("abc")));
    await hear(() => session.onClose(untyped(5)));
    await hear(() => session.subscribe("news", { latest: -1 }));
    await hear(() => session.open({ headers: { Connection: "close" } }));
    session.open();
    await hear(() => session.open({ headers: { "X-A": "b" } }));
    await session.subscribe("news");
    await hear(() => session.subscribe("news", { open: { headers: { "X-A": "b" } } }));
    await hear(() => session.send({ id: "7", data: "x" }));
  });
  await withSession(async (session) => {
    await session.send({ id: "7", data: "x" });
    await hear(() => session.subscribe("news"));
  });
  const calls: ((session: Session) => unknown)[] = [
    (session) => session.open(),
    (session) => session.subscribe("news"),
    (session) => session.complete("x"),
  ];
  for (const call of calls) {
    await withSession(async (session, response) => {
      response.writeHead(200).write("x");
      await hear(() => call(session));
    });
  }
  await withSession((session) =>
    session.subscribe("news", { snapshot: () => untyped([{ id: "7", data: "state" }]) }),
  );
}

/** Mistakes that Express shows with the first request. */
async function makeMistakesOfExpress(): Promise<void> {
  const apps = [
    express().use(untyped(sse)),
    express().use(sseHandler("news")),
    express().use((_request, response, next) => {
      Object.defineProperty(response, "sse", { value: 1, configurable: false });
      next();
    }, sse()),
    express().use(sse(), (request, response) => {
      request.headers.accept = "application/json";
      response.sse.open();
    }),
    express().use(sse({ authorize: () => false }), sseHandler("news")),
    express().use(
      sse({ identify: () => ({ id: "ada", expiresAt: new Date("2001-02-03") }) }),
      sseHandler("news"),
    ),
  ];
  for (const app of apps) {
    app.use(
      (
        error: unknown,
        _request: unknown,
        response: express.Response,
        _next: express.NextFunction,
      ) => {
        heard(error);
        response.status(500).end();
      },
    );
    const server = app.listen(0, "127.0.0.1");
    await new Promise((resolve) => {
      server.once("listening", resolve);
    });
    await (await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`)).text();
    server.close();
  }
}

/** Runs that fail by themselves, and calls with wrong arguments. */
async function makeMistakesInRuns(): Promise<void> {
  const runs = createRuns({ onError: heard });
  const sources: unknown[] = [null, [{ id: "7", data: "x" }]];
  for (const source of sources) await runs.start("a", () => untyped(source));
  await runs.start(
    "b",
    () => ["x"],
    untyped(async () => "x"),
  );
  await runs.start("chat-1", function* () {
    for (let index = 0; index < 5; index++) yield "x".repeat(1_000_000);
  });
  for await (const item of runs.read("chat-1")) void item;
  await hear(() => runs.stop(""));
  await hear(() => runs.follow("a", untyped({})));
  await hear(() => runs.read("a", { after: NaN }));
  await withSession(async (session) => {
    await session.subscribe("news");
    await runs.start("c", () => ["x"]);
    await hear(() => runs.follow("c", session));
  });
  await runs.close();
}

async function makeMistakesOfRuns(): Promise<void> {
  const tapes = memoryTapes();
  const runs = createRuns({ tapes });
  for (let index = 0; index < 1_000; index++) {
    await runs.start(String(index), () => new Promise<never>(() => {}));
  }
  await hear(() => runs.start("one more", () => []));
  await runs.close();
  await hear(() => runs.start("a", () => []));
  await hear(() => tapes.create("a", { keepMs: 0, abandonMs: false }, () => {}));
}

/**
 * Redis has to be in trouble for these: test/redis provokes them, and here the sources have to have them as they stand.
 *
 * @returns Tells whether a text is one of them. A template stands for every text that it can make.
 */
function readMessagesOfRedis(): (text: string) => boolean {
  const folder = new URL("packages/redis/src/", ROOT);
  const source = readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .map((name) => readFileSync(new URL(name, folder), "utf8"))
    .join("\n");
  const texts = new Set(
    [...source.matchAll(/"((?:[^"\\\n]|\\.)+)"/g)].map(([, message]) => message ?? ""),
  );
  const templates = [...source.matchAll(/`((?:[^`\\\n]|\\.)*\$\{(?:[^`\\\n]|\\.)*)`/g)]
    .map(([, template = ""]) => template.replaceAll("\\`", "`").split(/\$\{[^}]*\}/))
    // Others are names of keys and numbers: too short to tell a message.
    .filter((parts) => parts.join("").length > 20)
    .map((parts) => new RegExp(`^${parts.map(escape).join(".+")}$`));
  return (text) => texts.has(text) || templates.some((template) => template.test(text));
}

/** Quotes a text for a regular expression. */
function escape(text: string): string {
  return text.replaceAll(/[\\^$.*+?()[\]{}|]/g, "\\$&");
}

describe("Messages that the docs quote", () => {
  const quoted = quotedMessages();

  beforeAll(async () => {
    await makeStaticMistakes();
    await makeMistakesOfSessions();
    await makeMistakesOfExpress();
    await makeMistakesInRuns();
    await makeMistakesOfRuns();
    await hear(() => redisLog(untyped({})));
  });

  it("are found: there are some", () => {
    expect(quoted.size).toBeGreaterThan(40);
  });

  it("match the real messages word for word", () => {
    const isOfRedis = readMessagesOfRedis();
    const wrong = [...quoted].filter(
      ([message]) =>
        ![...said].some((each) => each === message || each.endsWith(`: ${message}`)) &&
        !isOfRedis(message),
    );
    expect(wrong).toEqual([]);
  });
});
