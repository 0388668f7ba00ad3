import { createHub } from "@tidewire/core";
import type { AddressInfo } from "node:net";
import { sse, sseHandler as expressHandler } from "@tidewire/express";
import { sseHandler as fastifyHandler, ssePlugin } from "@tidewire/fastify";
import { createRuns } from "@tidewire/runs";
import express from "express";
import Fastify from "fastify";
import { AggregatorRegistry, Counter, Registry } from "prom-client";
import type { OpenMetricsContentType } from "prom-client";
import { Registry as OtherRegistry } from "@prometheus-io/client";
import { afterEach, describe, expect, it } from "vitest";
import { eventually, request } from "../../../test/client.js";
import { collectPrometheus } from "../src/index.js";
import { serve } from "./served.js";

const closers: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

/** @returns The value of one series; `undefined` if there is none. */
function valueOf(text: string, series: string): number | undefined {
  const line = text.split("\n").find((one) => one.startsWith(`${series} `));
  return line === undefined ? undefined : Number(line.slice(series.length + 1));
}

describe("collectPrometheus", () => {
  it("gives the metrics of a hub at each scrape", async () => {
    const { hub, open, close } = await serve();
    closers.push(close);
    const registry = new Registry();
    closers.push(collectPrometheus(hub, { registry }));
    const clients = [await open(), await open(), await open({ "last-event-id": "x" })];
    for (const client of clients) await client.until("event: sse-");
    await hub.publish("news", "one");
    for (const client of clients) await client.until("data: one\n\n");
    clients[0]?.cut();
    await eventually("one to have left", () => hub.sessionCount === 2);
    const text = await registry.metrics();
    for (const [series, value] of Object.entries({
      'tidewire_sessions{state="live"}': 2,
      'tidewire_sessions{state="behind"}': 0,
      'tidewire_sessions{state="plain"}': 0,
      'tidewire_sessions{state="connecting"}': 0,
      tidewire_sessions_opened_total: 3,
      'tidewire_sessions_closed_total{reason="client"}': 1,
      'tidewire_sessions_closed_total{reason="slow"}': 0,
      tidewire_events_published_total: 1,
      tidewire_events_delivered_total: 3,
      'tidewire_resets_total{reason="unknown"}': 1,
      tidewire_window_events: 1,
      'tidewire_log_state{state="live"}': 1,
      'tidewire_log_state{state="down"}': 0,
      tidewire_log_lag_seconds: 0,
      tidewire_channels: 1,
      tidewire_closing: 0,
      tidewire_session_wait_seconds_count: 3,
      'tidewire_session_wait_seconds_bucket{le="+Inf"}': 3,
      tidewire_session_lifetime_seconds_count: 1,
      'tidewire_session_lifetime_seconds_bucket{le="86400"}': 1,
      tidewire_delivery_delay_seconds_count: 1,
    })) {
      expect([series, valueOf(text, series)]).toEqual([series, value]);
    }
    expect(valueOf(text, "tidewire_delivered_bytes_total")).toBe(hub.stats().deliveredBytes);
    expect(text).toContain("# TYPE tidewire_session_lifetime_seconds histogram");
    expect(text).toContain("# TYPE tidewire_sessions gauge");
    expect(text).toContain("# TYPE tidewire_resets_total counter");
    expect(text).not.toContain("runs");
  });

  it("counts messages of plain streams", async () => {
    const { hub, open, close } = await serve((session) => session.send("hello"));
    closers.push(close);
    const registry = new Registry();
    collectPrometheus(hub, { registry });
    const client = await open();
    await client.until("data: hello\n\n");
    const text = await registry.metrics();
    expect(valueOf(text, 'tidewire_sessions{state="plain"}')).toBe(1);
    expect(valueOf(text, "tidewire_messages_sent_total")).toBe(1);
    expect(valueOf(text, "tidewire_sent_bytes_total")).toBe("data: hello\n\n".length);
  });

  it("gives the metrics of runs", async () => {
    const registry = new Registry();
    const runs = createRuns();
    collectPrometheus(createHub(), { registry, runs });
    await runs.start("a", () => ["one"]);
    for await (const item of runs.read("a")) if (item.type === "end") break;
    const text = await registry.metrics();
    expect(valueOf(text, "tidewire_runs_started_total")).toBe(1);
    expect(valueOf(text, 'tidewire_runs_ended_total{outcome="done"}')).toBe(1);
    expect(valueOf(text, "tidewire_runs_running")).toBe(0);
    expect(valueOf(text, "tidewire_runs_followers")).toBe(0);
    await runs.close();
  });

  it("tells hubs that share a registry apart by their labels", async () => {
    const registry = new Registry();
    const [news, chat] = [createHub(), createHub()];
    const stop = collectPrometheus(news, { registry, labels: { hub: "news" } });
    collectPrometheus(chat, { registry, labels: { hub: "chat" } });
    await chat.publish("a", "x");
    const text = await registry.metrics();
    expect(valueOf(text, 'tidewire_events_published_total{hub="news"}')).toBe(0);
    expect(valueOf(text, 'tidewire_events_published_total{hub="chat"}')).toBe(1);
    expect(valueOf(text, 'tidewire_sessions{hub="news",state="live"}')).toBe(0);
    expect(text.match(/# TYPE tidewire_sessions gauge/g)).toHaveLength(1);
    stop();
    expect(await registry.metrics()).not.toContain('hub="news"');
  });

  it("times only its own hub", async () => {
    const registry = new Registry();
    collectPrometheus(createHub(), { registry });
    const { hub, open, close } = await serve();
    closers.push(close);
    const client = await open();
    await client.until("sse-cursor");
    await hub.publish("news", "x");
    await client.until("data: x");
    const text = await registry.metrics();
    expect(valueOf(text, "tidewire_session_wait_seconds_count")).toBe(0);
    expect(valueOf(text, "tidewire_delivery_delay_seconds_count")).toBe(0);
  });

  it("times the streams of Express and of Fastify", async () => {
    const registry = new Registry();
    const events = sse();
    const app = express();
    app.use(events);
    app.get("/news", expressHandler("news"));
    const server = app.listen(0, "127.0.0.1");
    const fastify = Fastify();
    await fastify.register(ssePlugin);
    fastify.get("/news", fastifyHandler("news"));
    await fastify.listen({ port: 0, host: "127.0.0.1" });
    closers.push(() => fastify.close());
    closers.push(async () => {
      await events.hub.close();
      server.close();
    });
    collectPrometheus(events.hub, { registry, labels: { server: "express" } });
    collectPrometheus(fastify.sse, { registry, labels: { server: "fastify" } });
    for (const one of [server, fastify.server]) {
      const { port } = one.address() as AddressInfo;
      const client = await request({ port, protocol: "http1" }, "/news", {
        headers: { accept: "text/event-stream" },
      });
      await client.until("sse-cursor");
    }
    const text = await registry.metrics();
    for (const name of ["express", "fastify"]) {
      const series = `tidewire_session_wait_seconds_count{server="${name}"}`;
      expect([series, valueOf(text, series)]).toEqual([series, 1]);
    }
  });

  it("asks the hub once for a scrape", async () => {
    const registry = new Registry();
    let asked = 0;
    const hub = createHub();
    const counting = {
      stats: () => {
        asked += 1;
        return hub.stats();
      },
    };
    collectPrometheus(counting, { registry });
    await registry.metrics();
    await registry.getMetricsAsJSON();
    expect(asked).toBe(2);
  });

  it("removes its metrics and leaves nothing behind", async () => {
    const registry = new Registry();
    const hub = createHub();
    const stop = collectPrometheus(hub, { registry });
    stop();
    stop();
    expect(await registry.metrics()).toBe("\n");
    collectPrometheus(hub, { registry });
    expect(await registry.metrics()).toContain("tidewire_sessions");
  });

  it("takes a new hub after the registry was cleared, and the old one's function does not remove it", async () => {
    const registry = new Registry();
    const old = createHub();
    const stopOld = collectPrometheus(old, { registry });
    registry.clear();
    const hub = createHub();
    const stop = collectPrometheus(hub, { registry });
    await hub.publish("news", "one");
    const published = (text: string): unknown => valueOf(text, "tidewire_events_published_total");
    expect(published(await registry.metrics())).toBe(1);
    stopOld();
    expect(published(await registry.metrics())).toBe(1);
    stop();
    expect(await registry.metrics()).toBe("\n");
  });

  it("works in the format of OpenMetrics, in clusters, and with another prefix", async () => {
    const open = new Registry<OpenMetricsContentType>();
    open.setContentType(Registry.OPENMETRICS_CONTENT_TYPE);
    const hub = createHub();
    collectPrometheus(hub, { registry: open });
    await hub.publish("a", "x");
    const text = await open.metrics();
    expect(text).toContain("# TYPE tidewire_events_published counter");
    expect(valueOf(text, "tidewire_events_published_total")).toBe(1);
    const registry = new Registry();
    collectPrometheus(hub, { registry, prefix: "app_" });
    const node = await registry.getMetricsAsJSON();
    const both = await AggregatorRegistry.aggregate([node, node]).metrics();
    expect(valueOf(both, "app_events_published_total")).toBe(2);
    expect(valueOf(both, "app_window_events")).toBe(1);
    expect(valueOf(both, 'app_session_wait_seconds_bucket{le="+Inf"}')).toBe(0);
  });

  it("works with the successor of prom-client", async () => {
    const registry = new OtherRegistry();
    const hub = createHub();
    collectPrometheus(hub, { registry });
    expect(valueOf(await registry.metrics(), "tidewire_events_published_total")).toBe(0);
  });

  it("refuses arguments that are invalid, in plain words", () => {
    const registry = new Registry();
    const hub = createHub();
    const message = (call: () => unknown): string => {
      try {
        call();
      } catch (error) {
        return (error as Error).message;
      }
      return "nothing";
    };
    const given = (options: object): string =>
      message(() => collectPrometheus(hub, options as { registry: Registry }));
    expect(message(() => collectPrometheus(sse() as never, { registry }))).toContain(
      ": pass its `hub`",
    );
    expect(given({})).toContain("Expected `registry` to be a registry of prom-client, got");
    expect(given({ registry, label: {} })).toContain("Did you mean `labels`?");
    expect(given({ registry, prefix: "a-" })).toContain("Expected `prefix`");
    expect(given({ registry, labels: { "a-b": "c" } })).toContain("Expected `labels`");
    expect(given({ registry, labels: { reason: "c" } })).toContain("The label `reason`");
    expect(given({ registry, runs: {} })).toContain("Expected `runs`");
    expect(given({ registry })).toBe("nothing");
    expect(given({ registry })).toContain("give each hub its own");
  });

  it("changes nothing if a name is taken", async () => {
    const registry = new Registry();
    const taken = new Counter({
      name: "tidewire_replays_total",
      help: "another",
      registers: [registry],
    });
    const hub = createHub();
    expect(() => collectPrometheus(hub, { registry })).toThrow("tidewire_replays_total");
    expect(registry.getMetricsAsArray()).toEqual([taken]);
    registry.clear();
    collectPrometheus(hub, { registry });
    expect(await registry.metrics()).toContain("tidewire_sessions");
  });
});
