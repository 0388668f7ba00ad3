/** HTTP telemetry in front of streams: with one line of configuration a stream is not a slow request. */

import { createRequire } from "node:module";
import { once } from "node:events";
import type { AddressInfo, Server } from "node:net";
import { FastifyOtelInstrumentation } from "@fastify/otel";
import { HttpInstrumentation } from "@opentelemetry/instrumentation-http";
import { DataPointType, MeterProvider, MetricReader } from "@opentelemetry/sdk-metrics";
import type { HttpInstrumentationConfig } from "@opentelemetry/instrumentation-http";
import type { Histogram } from "@opentelemetry/sdk-metrics";
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
} from "@opentelemetry/sdk-trace-base";
import type { Hub } from "@tidewire/core";
import { sse, sseHandler as expressHandler } from "@tidewire/express";
import { sseHandler as fastifyHandler, ssePlugin } from "@tidewire/fastify";
import express from "express";
import promBundle from "express-prom-bundle";
import Fastify from "fastify";
import type { FastifyInstance, RouteShorthandOptions } from "fastify";
import fastifyMetrics from "fastify-metrics";
import { Registry } from "prom-client";
import { afterEach, describe, expect, it } from "vitest";
import { eventually, request } from "../client.js";

/** Streams beside the ordinary requests, and how long each lasts: 100 and a minute in the full soak. */
const STREAMS = Number(process.env["STREAMS"] ?? "20");
const STREAM_MS = Number(process.env["STREAM_MS"] ?? "1500");
/** Ordinary requests. */
const REQUESTS = 100;
/** An ordinary request takes less, a stream more. */
const SLOW_S = 1;

const closers: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

/** Upper bounds in seconds, and how many values lie at most there. */
type Buckets = readonly (readonly [bound: number, cumulative: number])[];

interface Served {
  readonly port: number;
  readonly hub: Hub;
  /** Closes the server, after which every request has been recorded. */
  close(): Promise<unknown>;
}

/** @returns The lowest bound with 95 % of the values. */
function p95(buckets: Buckets): number {
  const total = buckets.at(-1)?.[1] ?? 0;
  return buckets.find(([, cumulative]) => cumulative >= total * 0.95)?.[0] ?? NaN;
}

/** Opens the streams, makes the ordinary requests beside them, and ends the streams in every way. */
async function load({ port, hub, close }: Served): Promise<void> {
  const target = { port, protocol: "http1" } as const;
  const streams = await Promise.all(
    Array.from({ length: STREAMS }, () =>
      request(target, "/events", { headers: { accept: "text/event-stream" } }),
    ),
  );
  const start = performance.now();
  for (let n = 0; n < REQUESTS; n++) {
    const page = await request(target, "/page");
    expect(await page.rest()).toBe("a page");
    await hub.publish("news", `${n}`);
  }
  await new Promise((resolve) => {
    setTimeout(resolve, STREAM_MS - (performance.now() - start));
  });
  for (const [n, stream] of streams.entries()) if (n % 2 === 0) stream.cut();
  await eventually("half of them to have left", () => hub.sessionCount === STREAMS >> 1);
  await hub.close();
  await close();
}

/** Serves an Express application with a page and a stream. */
async function serveExpress(middleware?: express.RequestHandler): Promise<Served> {
  const app = express();
  if (middleware !== undefined) app.use(middleware);
  const events = sse();
  app.use(events);
  app.get("/events", expressHandler("news"));
  app.get("/page", (_req, res) => void res.send("a page"));
  const server: Server = app.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    hub: events.hub,
    close: () => new Promise((resolve) => server.close(resolve)),
  };
}

/** Serves a Fastify instance with a page and a stream. */
async function serveFastify(
  register: (app: FastifyInstance) => unknown,
  options: RouteShorthandOptions,
): Promise<Served> {
  const app = Fastify();
  await register(app);
  await app.register(ssePlugin);
  app.get("/events", options, fastifyHandler("news"));
  app.get("/page", async () => "a page");
  await app.listen({ port: 0, host: "127.0.0.1" });
  const { port } = app.server.address() as AddressInfo;
  return { port, hub: app.sse as unknown as Hub, close: () => app.close() };
}

/** @returns The buckets of all series of a histogram of `prom-client`. */
async function bucketsOf(registry: Pick<Registry, "getMetricsAsJSON">): Promise<Buckets> {
  const sums = new Map<number, number>();
  for (const { name, values } of await registry.getMetricsAsJSON()) {
    if (name !== "http_request_duration_seconds") continue;
    for (const { labels, value } of values as readonly {
      labels: Record<string, string | number>;
      value: number;
    }[]) {
      const { le } = labels;
      if (le === undefined) continue;
      const bound = le === "+Inf" ? Infinity : Number(le);
      sums.set(bound, (sums.get(bound) ?? 0) + value);
    }
  }
  return [...sums].toSorted(([a], [b]) => a - b);
}

describe("express-prom-bundle", () => {
  async function measure(bypass?: promBundle.Opts["bypass"]): Promise<Buckets> {
    const promRegistry = new Registry();
    const options = { promRegistry, includePath: true, buckets: [0.1, SLOW_S, 10, 100] };
    const bundle = promBundle(bypass === undefined ? options : { ...options, bypass });
    await load(await serveExpress(bundle));
    return bucketsOf(promRegistry);
  }

  it("takes streams for slow requests, without its line", async () => {
    const buckets = await measure();
    expect(buckets.at(-1)?.[1]).toBe(REQUESTS + STREAMS);
    expect(p95(buckets)).toBeGreaterThan(SLOW_S);
  });

  it("does not see streams with `bypass`", async () => {
    const buckets = await measure({
      onFinish: (_req, res) =>
        String(res.getHeader("content-type")).startsWith("text/event-stream"),
    });
    expect(buckets.at(-1)?.[1]).toBe(REQUESTS);
    expect(p95(buckets)).toBeLessThanOrEqual(SLOW_S);
  });
});

describe("fastify-metrics", () => {
  async function measure(options: RouteShorthandOptions): Promise<Buckets> {
    let registry: Pick<Registry, "getMetricsAsJSON"> | undefined;
    const served = await serveFastify(async (app) => {
      await app.register(fastifyMetrics.default, {
        clearRegisterOnInit: true,
        defaultMetrics: { enabled: false },
        routeMetrics: { overrides: { histogram: { buckets: [0.1, SLOW_S, 10, 100] } } },
      });
      registry = app.metrics.client.register as unknown as Registry;
    }, options);
    await load(served);
    return bucketsOf(registry!);
  }

  it("takes streams for slow requests, without its line", async () => {
    const buckets = await measure({});
    // Fastify has no `onResponse` for the half whose clients have left.
    expect(buckets.at(-1)?.[1]).toBe(REQUESTS + STREAMS / 2);
    expect(p95(buckets)).toBeGreaterThan(SLOW_S);
  });

  it("does not see streams with `disableMetrics`", async () => {
    const buckets = await measure({ config: { disableMetrics: true } });
    expect(buckets.at(-1)?.[1]).toBe(REQUESTS);
    expect(p95(buckets)).toBeLessThanOrEqual(SLOW_S);
  });
});

describe("@fastify/otel", () => {
  /** @returns How long each span lasted, in seconds. */
  async function measure(options: RouteShorthandOptions): Promise<number[]> {
    const exporter = new InMemorySpanExporter();
    const processor = new SimpleSpanProcessor(exporter);
    const instrumentation = new FastifyOtelInstrumentation();
    instrumentation.setTracerProvider(new BasicTracerProvider({ spanProcessors: [processor] }));
    instrumentation.enable();
    closers.push(() => instrumentation.disable());
    await load(await serveFastify((app) => app.register(instrumentation.plugin()), options));
    const spans = exporter.getFinishedSpans();
    expect(spans.filter(({ name }) => name === "request").length).toBe(
      REQUESTS + (options.config === undefined ? STREAMS : 0),
    );
    return spans.map(({ duration: [s, ns] }) => s + ns / 1e9);
  }

  it("ends its spans with the head of a stream: nothing to configure", async () => {
    expect(Math.max(...(await measure({})))).toBeLessThan(SLOW_S);
  });

  it("makes no spans for a route with `otel: false`", async () => {
    expect(Math.max(...(await measure({ config: { otel: false } })))).toBeLessThan(SLOW_S);
  });
});

class Reader extends MetricReader {
  protected async onForceFlush(): Promise<void> {}
  protected async onShutdown(): Promise<void> {}
}

describe("@opentelemetry/instrumentation-http", () => {
  let instrumentation: HttpInstrumentation | undefined;

  async function measure(config: HttpInstrumentationConfig): Promise<Buckets> {
    const reader = new Reader();
    // It patches `http` once, where it is loaded the next time.
    instrumentation ??= new HttpInstrumentation();
    createRequire(import.meta.url)("node:http");
    instrumentation.setConfig(config);
    instrumentation.setMeterProvider(new MeterProvider({ readers: [reader] }));
    await load(await serveExpress());
    const { resourceMetrics } = await reader.collect();
    const sums = new Map<number, number>();
    for (const metric of resourceMetrics.scopeMetrics.flatMap(({ metrics }) => metrics)) {
      if (metric.descriptor.name !== "http.server.request.duration") continue;
      if (metric.dataPointType !== DataPointType.HISTOGRAM) continue;
      for (const { value } of metric.dataPoints) {
        const { boundaries, counts } = (value as Histogram).buckets;
        let total = 0;
        for (const [n, count] of counts.entries()) {
          total += count;
          const bound = boundaries[n] ?? Infinity;
          sums.set(bound, (sums.get(bound) ?? 0) + total);
        }
      }
    }
    return [...sums].toSorted(([a], [b]) => a - b);
  }

  it("takes streams for slow requests, without its line", async () => {
    const buckets = await measure({});
    expect(buckets.at(-1)?.[1]).toBe(REQUESTS + STREAMS);
    expect(p95(buckets)).toBeGreaterThan(SLOW_S);
  });

  it("does not see streams with `ignoreIncomingRequestHook`", async () => {
    const buckets = await measure({
      ignoreIncomingRequestHook: ({ headers }) => headers.accept === "text/event-stream",
    });
    expect(buckets.at(-1)?.[1]).toBe(REQUESTS);
    expect(p95(buckets)).toBeLessThanOrEqual(SLOW_S);
  });
});
