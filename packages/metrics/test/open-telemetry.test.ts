import { DataPointType, MeterProvider, MetricReader } from "@opentelemetry/sdk-metrics";
import type { MetricData } from "@opentelemetry/sdk-metrics";
import { createHub } from "@tidewire/core";
import { createRuns } from "@tidewire/runs";
import { afterEach, expect, it } from "vitest";
import { eventually } from "../../../test/client.js";
import { observeOpenTelemetry } from "../src/index.js";
import { serve } from "./served.js";

const closers: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

class Reader extends MetricReader {
  protected async onForceFlush(): Promise<void> {}
  protected async onShutdown(): Promise<void> {}

  /** @returns The metrics by name. */
  async read(): Promise<Map<string, MetricData>> {
    const { resourceMetrics } = await this.collect();
    const metrics = resourceMetrics.scopeMetrics.flatMap((scope) => scope.metrics);
    return new Map(metrics.map((metric) => [metric.descriptor.name, metric]));
  }
}

it("gives an SDK the metrics of a hub whenever it collects", async () => {
  const { hub, open, close } = await serve();
  closers.push(close);
  const reader = new Reader();
  const meter = new MeterProvider({ readers: [reader] }).getMeter("test");
  const stop = observeOpenTelemetry(hub, { meter, labels: { hub: "news" } });
  const clients = [await open(), await open()];
  for (const client of clients) await client.until("sse-cursor");
  await hub.publish("news", "one");
  for (const client of clients) await client.until("data: one\n\n");
  clients[0]?.cut();
  await eventually("one to have left", () => hub.sessionCount === 1);

  const metrics = await reader.read();
  const valueOf = (name: string, labels: Record<string, string> = {}): unknown =>
    metrics
      .get(name)
      ?.dataPoints.find(({ attributes }) =>
        Object.entries({ hub: "news", ...labels }).every(
          ([key, value]) => attributes[key] === value,
        ),
      )?.value;
  expect(valueOf("tidewire.sessions", { state: "live" })).toBe(1);
  expect(valueOf("tidewire.sessions.opened")).toBe(2);
  expect(valueOf("tidewire.sessions.closed", { reason: "client" })).toBe(1);
  expect(valueOf("tidewire.events.delivered")).toBe(2);
  expect(valueOf("tidewire.delivered")).toBe(hub.stats().deliveredBytes);
  expect(valueOf("tidewire.log.state", { state: "live" })).toBe(1);
  expect(valueOf("tidewire.session.wait")).toMatchObject({ count: 2 });
  expect(valueOf("tidewire.session.lifetime")).toMatchObject({ count: 1 });
  expect(valueOf("tidewire.delivery.delay")).toMatchObject({ count: 1 });
  expect(metrics.get("tidewire.sessions.opened")).toMatchObject({
    dataPointType: DataPointType.SUM,
    isMonotonic: true,
    descriptor: { unit: "{session}" },
  });
  const lifetime = valueOf("tidewire.session.lifetime") as { buckets: { boundaries: number[] } };
  expect(lifetime.buckets.boundaries.at(-1)).toBe(86_400);
  expect(metrics.has("tidewire.runs.running")).toBe(false);
  stop();
  stop();
  await hub.publish("news", "two");
  const after = await reader.read();
  expect(after.get("tidewire.events.published")?.dataPoints[0]?.value).not.toBe(2);
  expect(after.get("tidewire.delivery.delay")?.dataPoints[0]?.value).toMatchObject({ count: 1 });
});

it("gives an SDK the metrics of runs", async () => {
  const reader = new Reader();
  const meter = new MeterProvider({ readers: [reader] }).getMeter("test");
  const runs = createRuns();
  closers.push(() => runs.close());
  observeOpenTelemetry(createHub(), { meter, runs });
  await runs.start("a", () => ["one"]);
  const metrics = await reader.read();
  expect(metrics.get("tidewire.runs.started")?.dataPoints[0]?.value).toBe(1);
});

it("refuses an object that is not a meter", () => {
  const meter = {} as ReturnType<MeterProvider["getMeter"]>;
  expect(() => observeOpenTelemetry(createHub(), { meter })).toThrow("Expected `meter`");
});
