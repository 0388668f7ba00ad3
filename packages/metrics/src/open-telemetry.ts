/** The metrics for `@opentelemetry/api`: instruments that are read when the SDK collects. */

import { unexpected } from "@tidewire/core/adapter";
import { HUB_METRICS, RUN_METRICS, TIMED_METRICS } from "./catalogue.js";
import type { ReadMetric, TimedMetric } from "./catalogue.js";
import { followDurations } from "./durations.js";
import { checkArguments } from "./options.js";
import type { MeasuredHub, MetricsOptions } from "./options.js";

/** Description of an instrument. */
export interface InstrumentOptions {
  /** Its meaning. */
  readonly description?: string;
  /** Its unit, in the notation of UCUM. */
  readonly unit?: string;
  /** Preferred bounds of a histogram. */
  readonly advice?: { explicitBucketBoundaries?: number[] };
}

/** Takes the values of one collection. */
export interface ObservedValues {
  /** Sets the value of an instrument. */
  observe(instrument: never, value: number, attributes?: Record<string, string>): void;
}

/** The part of a `Meter` of `@opentelemetry/api` that is used. */
export interface OpenTelemetryMeter {
  /** Creates an instrument whose values cannot be added. */
  createObservableGauge(name: string, options?: InstrumentOptions): object;
  /** Creates an instrument that only grows. */
  createObservableCounter(name: string, options?: InstrumentOptions): object;
  /** Creates an instrument whose values can be added. */
  createObservableUpDownCounter(name: string, options?: InstrumentOptions): object;
  /** Creates a histogram. */
  createHistogram(
    name: string,
    options?: InstrumentOptions,
  ): { record(value: number, attributes?: Record<string, string>): void };
  /** Has a function called at each collection. */
  addBatchObservableCallback(callback: (values: ObservedValues) => void, observables: never): void;
  /** Ends that. */
  removeBatchObservableCallback(
    callback: (values: ObservedValues) => void,
    observables: never,
  ): void;
}

/** Options of `observeOpenTelemetry`. */
export interface OpenTelemetryOptions extends MetricsOptions {
  /** A meter: `metrics.getMeter("my-app")` of `@opentelemetry/api`, or that of a `MeterProvider`. */
  readonly meter: OpenTelemetryMeter;
}

/**
 * Has an OpenTelemetry SDK observe a hub. Instruments have the names of the Prometheus metrics in OpenTelemetry's
 * notation: `tidewire.sessions.opened` for `tidewire_sessions_opened_total`. They are read when the SDK collects;
 * between that only opened and ended streams, and a sample of the deliveries, are timed.
 *
 * @param hub - The hub: `createHub()`, `sse().hub` of `@tidewire/express`, `fastify.sse` of `@tidewire/fastify`.
 * @param options - The meter, and attributes.
 * @returns A function that ends the observation. Idempotent.
 * @throws {SseError} `ERR_SSE_INVALID_OPTION` if an argument is invalid.
 */
export function observeOpenTelemetry(hub: MeasuredHub, options: OpenTelemetryOptions): () => void {
  checkArguments("observeOpenTelemetry", hub, options, ["meter"]);
  const { meter, labels = {}, runs } = options;
  if (typeof meter?.addBatchObservableCallback !== "function") {
    throw unexpected("meter", "a meter of @opentelemetry/api", meter);
  }
  const metrics = runs === undefined ? HUB_METRICS : [...HUB_METRICS, ...RUN_METRICS];
  const instruments = new Map(metrics.map((metric) => [metric, instrumentFor(meter, metric)]));
  const observables = [...instruments.values()] as never;
  const observe = (values: ObservedValues): void => {
    const sample = { stats: hub.stats(), runs: runs?.stats() };
    for (const [metric, instrument] of instruments) {
      for (const [own, value] of metric.read(sample)) {
        values.observe(instrument as never, value, { ...labels, ...own });
      }
    }
  };
  meter.addBatchObservableCallback(observe, observables);
  const wait = recorderFor(meter, TIMED_METRICS.wait, labels);
  const lifetime = recorderFor(meter, TIMED_METRICS.lifetime, labels);
  const delay = recorderFor(meter, TIMED_METRICS.delay, labels);
  const unfollow = followDurations(hub, { wait, lifetime, delay });
  let isOver = false;
  return () => {
    if (isOver) return;
    isOver = true;
    unfollow();
    meter.removeBatchObservableCallback(observe, observables);
  };
}

function instrumentFor(meter: OpenTelemetryMeter, { name, help, unit, kind }: ReadMetric): object {
  const options = { description: help, unit };
  switch (kind) {
    case "counter":
      return meter.createObservableCounter(`tidewire.${name}`, options);
    case "sum":
      return meter.createObservableUpDownCounter(`tidewire.${name}`, options);
    case "gauge":
      return meter.createObservableGauge(`tidewire.${name}`, options);
  }
}

function recorderFor(
  meter: OpenTelemetryMeter,
  { name, help, bounds }: TimedMetric,
  labels: Readonly<Record<string, string>>,
): (seconds: number) => void {
  const advice = { explicitBucketBoundaries: [...bounds] };
  const options = { description: help, unit: "s", advice };
  const histogram = meter.createHistogram(`tidewire.${name}`, options);
  return (seconds) => histogram.record(seconds, labels);
}
