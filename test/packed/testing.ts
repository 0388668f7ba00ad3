import assert from "node:assert/strict";
import { memoryLog } from "@tidewire/core";
import { createHub, sse, sseHandler } from "@tidewire/express";
import { sseHandler as fastifyHandler, ssePlugin } from "@tidewire/fastify";
import {
  StreamError,
  faultyLog,
  injectStream,
  logConformance,
  openStream,
  recordPublished,
} from "@tidewire/testing";
import express from "express";
import { fastify } from "fastify";

// One program for every runner: it is run directly, and as a test of Jest.
type Run = (...context: unknown[]) => Promise<void>;
declare const test: ((name: string, run: Run) => void) | undefined;
declare const jest: { useFakeTimers(): void; useRealTimers(): void } | undefined;

const found: { name: string; run: Run }[] = [];
const declare: (name: string, run: Run) => unknown =
  typeof test === "undefined" ? (name, run) => found.push({ name, run }) : test;

interface Channels {
  readonly news: { readonly headline: { readonly title: string } };
}

declare("a stream resumes after a cut, over a socket and through inject", async () => {
  const hub = createHub<Channels>();
  const app = express();
  app.use(sse({ hub: hub as never }));
  app.get("/news", sseHandler("news"));
  const instance = fastify();
  await instance.register(ssePlugin, { hub: hub as never });
  instance.get("/news", fastifyHandler("news"));
  const published = recordPublished(hub);
  {
    await using first = await openStream<Channels>(app, "/news");
    await using second = await openStream<Channels>(instance, "/news");
    const streams = [first, second];
    // Fastify's inject() needs a package that has only an ES module, which Jest cannot load on Node 20.
    if (typeof jest === "undefined") streams.push(await injectStream<Channels>(instance, "/news"));
    for (const stream of streams) {
      stream.cut("rst");
      const title = `High water at ${stream.url}`;
      await hub.publish("news", { event: "headline", data: { title } });
      await stream.resume();
      let received;
      do received = await stream.next("headline");
      while (received.data.title !== title);
      assert.deepEqual(stream.resets, []);
      assert.equal(published.events.at(-1)?.data.title, title);
      await stream.close();
    }
  }
  published.stop();
  await hub.close();
  await instance.close();
});

declare("a wait fails at its deadline, under fake timers too", async () => {
  const log = faultyLog();
  const hub = createHub({ log, onError: () => {} });
  const app = express();
  app.use(sse({ hub }));
  app.get("/news", sseHandler("news"));
  await using stream = await openStream(app, "/news");
  log.hang();
  const published = hub.publish("news", "1");
  if (typeof jest !== "undefined") jest.useFakeTimers();
  try {
    await stream.next(undefined, { withinMs: 200 });
    assert.fail("It has an event");
  } catch (error) {
    assert.ok(error instanceof StreamError, String(error));
    assert.match(
      error.message,
      /^No event within 200 ms\n\n.*GET \/news\n.*200 text[^]*sse-cursor/,
    );
  } finally {
    if (typeof jest !== "undefined") jest.useRealTimers();
  }
  log.restore();
  await published;
  assert.equal((await stream.next()).data, 1);
  await hub.close();
});

logConformance(memoryLog, { test: declare });

async function runAll(): Promise<void> {
  for (const { name, run } of found) {
    try {
      await run();
    } catch (error) {
      console.error(`${name}:`, error);
      process.exitCode = 1;
    }
  }
}

void runAll();
