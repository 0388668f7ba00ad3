// Actions of servers, using only the public API, and how their effect on a client is summed up in one cell.
import { setTimeout as delay } from "node:timers/promises";
import type { HubOptions } from "@tidewire/core";
import { request } from "../client.js";
import type { Asked, Run } from "./run.js";

export interface Scenario {
  /** Name of the column in the table. */
  readonly name: string;
  /** Description for the page. */
  readonly explanation: string;
  /** Whether the stream has only what the application sends. */
  readonly isPlain: boolean;
  readonly hub?: HubOptions;
  /** Answers a request for the stream. */
  serve(run: Run, asked: Asked, count: number): void;
  /** Expected cell of a correctly served client; default: it reconnects. */
  readonly served?: RegExp;
  /** Runs before the client opens its stream. */
  prepare?(run: Run): Promise<void>;
  /** Runs until there is a result. */
  play(run: Run): Promise<string>;
}

/** Time after which a client counts as gone, in milliseconds. */
const AWAY_MS = 12_000;

/** Time for which requests are counted, in milliseconds. */
const COUNT_MS = 10_000;

/** Limit: more requests than this in 10 s are a burden. */
export const MAX_REQUESTS = 3;

const CHANNEL = "news";

export const SCENARIOS: readonly Scenario[] = [
  {
    name: "open",
    explanation: "opens a plain stream and sends nothing but heartbeats",
    served: /^(opens|silent)/,
    isPlain: true,
    hub: { heartbeatMs: 1_000 },
    serve: (_run, { session }) => void session.open(),
    async play(run) {
      await run.until(() => run.asked.length > 0, AWAY_MS);
      await run.until(() => run.has("open"), 2_000);
      await delay(2_500);
      if (run.texts.length > 0) return "opens; a comment is an empty message";
      return failureOf(run) ?? (run.has("open") ? "opens" : "silent");
    },
  },
  {
    name: "named event",
    explanation: "sends an event of the type `price` on a plain stream",
    served: /^(yes|as a message|ignored)$/,
    isPlain: true,
    serve(run, { session }) {
      const { dialect } = run.client;
      void session.send(dialect.message("m1"));
      void session.send(dialect.named("m2"));
      void session.send(dialect.message("m3"));
    },
    async play(run) {
      await run.until(() => run.texts.includes("m3"), AWAY_MS);
      const named = run.told.find(({ text }) => text === "m2");
      if (!run.texts.includes("m3")) return failureOf(run) ?? "lost";
      if (named === undefined) return "ignored";
      return named.type === "price" ? "yes" : "as a message";
    },
  },
  {
    name: "multi-line data",
    explanation: "sends data with line breaks on a plain stream",
    served: /^yes$/,
    isPlain: true,
    serve(run, { session }) {
      void session.send(run.client.dialect.lines.message);
      void session.send(run.client.dialect.message("m2"));
    },
    async play(run) {
      const { text } = run.client.dialect.lines;
      await run.until(() => run.texts.includes("m2"), AWAY_MS);
      if (run.texts.includes(text)) return "yes";
      return failureOf(run) ?? `garbled: ${JSON.stringify(run.texts[0])}`;
    },
  },
  {
    name: "end",
    explanation: "sends two messages with IDs on a plain stream and ends it with `close()`",
    isPlain: true,
    serve(run, { session }, count) {
      const { message } = run.client.dialect;
      if (count > 1) return void session.send({ ...message("m3"), id: "3" });
      void session.send({ ...message("m1"), id: "1" });
      void session.send({ ...message("m2"), id: "2" });
      session.close();
    },
    async play(run) {
      await run.until(() => run.texts.includes("m3"), AWAY_MS);
      if (run.asked.length < 2) return stayedAway(run);
      if (!run.texts.includes("m3")) return failureOf(run) ?? "lost";
      return run.asked[1]?.lastEventId === "2" ? "back, with its ID" : "back, without its ID";
    },
  },
  {
    name: "cut",
    explanation:
      "breaks the connection after two events and publishes a third while the client is away. To a client that reads one answer: breaks it off in the middle",
    isPlain: false,
    serve: serveChannel,
    async play(run) {
      if (!(await publishTwo(run))) return failureOf(run) ?? "lost";
      const before = run.asked.length;
      run.asked.at(-1)?.request.socket.destroy();
      const { reads, dialect } = run.client;
      if (reads === "events") await run.hub.publish(CHANNEL, dialect.message("m3"));
      if (!(await run.until(() => run.asked.length > before, AWAY_MS))) return stayedAway(run);
      return reads === "answer" ? "asks again" : await missed(run, ["m1", "m2", "m3", "m4"]);
    },
  },
  {
    name: "complete",
    explanation:
      "sends two messages, then `complete(last)`. Does the last one arrive, and how many requests follow within 10 seconds?",
    served: /^yes, [0-3]/,
    isPlain: false,
    serve: serveChannel,
    async play(run) {
      if (!(await publishTwo(run))) return failureOf(run) ?? "lost";
      const before = run.asked.length;
      const { last } = run.client.dialect;
      await run.asked.at(-1)?.session.complete(last.message);
      await delay(COUNT_MS);
      const isThere = last.text === "" || run.texts.includes(last.text);
      const more = run.asked.length - before;
      return `${isThere ? "yes" : "last message lost"}, ${requests(more)} more`;
    },
  },
  {
    name: "shed",
    explanation:
      "is full (`maxSessions`) for 10 seconds. How many requests come, and is the client served once there is room?",
    served: /^waits, then is served$/,
    isPlain: false,
    hub: { maxSessions: 1 },
    serve(run, asked) {
      const message = run.client.dialect.message("m1");
      serveChannel(run, asked);
      if (run.client.reads === "events") void run.hub.publish(CHANNEL, message);
      else void asked.session.send(message);
    },
    async prepare(run) {
      const place = await request({ port: run.port, protocol: "http1" }, "/place");
      PLACES.set(run, () => place.cut());
    },
    async play(run) {
      await run.until(() => run.asked.length > 0, AWAY_MS);
      await delay(COUNT_MS);
      const count = run.asked.length;
      PLACES.get(run)?.();
      if (count > MAX_REQUESTS) return requests(count);
      const isServed = await run.until(() => run.texts.includes("m1"), 45_000);
      return isServed ? "waits, then is served" : stayedAway(run);
    },
  },
  {
    name: "drain",
    explanation:
      "[shuts down](../operate/shutdown.md); 0.3 seconds later the next process starts at the same port, with a new log in memory",
    isPlain: false,
    serve: serveChannel,
    play: restart,
  },
  {
    name: "drain, cut",
    explanation: 'the same with `reconnectAfter: "cut"`',
    isPlain: false,
    hub: { reconnectAfter: "cut" },
    serve: serveChannel,
    play: restart,
  },
  {
    name: "503",
    explanation: "is behind a proxy that answers the first request with 503",
    isPlain: false,
    serve(run, asked, count) {
      if (count === 1) return void asked.response.status(503).end();
      void asked.session.send(run.client.dialect.message("m1"));
    },
    async play(run) {
      await run.until(() => run.texts.includes("m1"), AWAY_MS);
      return run.texts.includes("m1") ? "back" : stayedAway(run);
    },
  },
];

/** Two events while the page is hidden, in Chromium also frozen. All pages of a browser at once, in three steps. */
export const BACKGROUND = {
  name: "background",
  explanation:
    "publishes two events while the page is hidden (in Chromium also frozen), and then shows it again",
  isPlain: false,
  serve: serveChannel,
  play: async (run: Run) => await missed(run, ["m1", "m2", "m3", "m4", "m5"]),
  begin: publishTwo,
  async publishUnseen(run: Run): Promise<void> {
    for (const text of ["m3", "m4"])
      await run.hub.publish(CHANNEL, run.client.dialect.message(text));
  },
} satisfies Scenario & Record<string, unknown>;

/** Frees the place that keeps a hub full. */
const PLACES = new WeakMap<Run, () => void>();

/** Subscribes clients that follow a channel, and answers those that ask. */
function serveChannel({ client }: Run, { session }: Asked): void {
  if (client.reads === "events") void session.subscribe(CHANNEL);
  else session.open();
}

async function publishTwo(run: Run): Promise<boolean> {
  const { reads, dialect } = run.client;
  if (!(await run.until(() => run.asked.at(-1)?.session.state === "open", AWAY_MS))) return false;
  for (const text of ["m1", "m2"]) {
    if (reads === "events") await run.hub.publish(CHANNEL, dialect.message(text));
    else await run.asked.at(-1)?.session.send(dialect.message(text));
  }
  return await run.until(() => run.texts.includes("m2"), AWAY_MS);
}

async function restart(run: Run): Promise<string> {
  if (!(await publishTwo(run))) return failureOf(run) ?? "lost";
  const before = run.asked.length;
  await run.shutDown(500);
  await delay(300);
  await run.listen();
  if (!(await run.until(() => run.asked.length > before, AWAY_MS))) return stayedAway(run);
  await delay(300);
  await run.hub.publish(CHANNEL, run.client.dialect.message("m3"));
  if (!(await run.until(() => run.texts.includes("m3"), AWAY_MS))) return failureOf(run) ?? "lost";
  const reset = run.told.some(({ type }) => type === "sse-reset");
  return reset ? "back, with the reset" : "back";
}

/** Result for a client that was away during publishes. The last text is published now. */
async function missed(run: Run, texts: readonly string[]): Promise<string> {
  const last = texts.at(-1) ?? "";
  await delay(500);
  await run.hub.publish(CHANNEL, run.client.dialect.message(last));
  if (!(await run.until(() => run.texts.includes(last), AWAY_MS))) return stayedAway(run);
  const counts = texts.map((text) => run.texts.filter((each) => each === text).length);
  if (counts.some((count) => count > 1)) return "back, some twice";
  return counts.includes(0) ? "back, some missed" : "back, nothing missed";
}

/** The report of a client that should have reported nothing. */
function failureOf({ told }: Run): string | undefined {
  const failure = told.find(({ kind }) => kind === "throw" || kind === "error");
  return failure && `${failure.kind === "throw" ? "throws" : "error"}: ${failure.text ?? ""}`;
}

function stayedAway(run: Run): string {
  if (run.has("throw")) return failureOf(run) ?? "";
  if (run.has("error")) return "stops with an error";
  return run.has("end") ? "stops, sees the end" : "stops silently";
}

function requests(count: number): string {
  if (count > MAX_REQUESTS) return "**storm of requests**";
  return count === 1 ? "1 request" : `${count} requests`;
}
