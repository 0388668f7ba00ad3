/** The metrics for `prom-client`: objects that its registry reads at each scrape. */

import { unexpected } from "@tidewire/core/adapter";
import { HUB_METRICS, RUN_METRICS, TIMED_METRICS } from "./catalogue.js";
import type { ReadMetric, Sample, TimedMetric } from "./catalogue.js";
import { followDurations } from "./durations.js";
import { Histogram } from "./histogram.js";
import { checkArguments, invalid } from "./options.js";
import type { MeasuredHub, MetricsOptions } from "./options.js";

/** A registry of `prom-client`, or of a package with the same interface. */
export interface PrometheusRegistry {
  /** Adds a metric. */
  registerMetric(metric: never): void;
  /** @returns The metric of a name. */
  getSingleMetric(name: string): unknown;
  /** Removes a metric. */
  removeSingleMetric(name: string): void;
}

/** Options of `collectPrometheus`. */
export interface PrometheusOptions extends MetricsOptions {
  /** The registry that is scraped: `register` or `new Registry()` of `prom-client`. */
  readonly registry: PrometheusRegistry;
  /**
   * Beginning of the name of every metric. The dashboard and the alert rules of the package need the default.
   *
   * @defaultValue `"tidewire_"`
   */
  readonly prefix?: string | undefined;
}

type Labels = Readonly<Record<string, string>>;

/** One value of a metric, as `prom-client` has it. */
interface Value {
  readonly labels: Readonly<Record<string, string | number>>;
  readonly value: number;
  /** Name of the series, if it is not that of the metric. */
  readonly metricName?: string;
}

/** The part of a metric of `prom-client` that registries use. */
interface RegistryMetric {
  /** A registry in the format of OpenMetrics renames counters. */
  name: string;
  readonly type: string;
  get(): Promise<unknown>;
  reset(): void;
}

/** One hub that is collected. */
interface Source {
  readonly labels: Labels;
  /** @returns Source of the metrics, the same for a whole scrape. */
  sample(): Sample;
  readonly histograms: ReadonlyMap<TimedMetric, Histogram>;
  /** Times nothing more. Idempotent. */
  unfollow(): void;
}

/** The metrics with one prefix in one registry, of one hub or several. */
interface Collection {
  readonly sources: Set<Source>;
  /** By their names. */
  readonly metrics: ReadonlyMap<string, RegistryMetric>;
  /** Registered once a hub has runs. */
  readonly runMetrics: ReadonlyMap<string, RegistryMetric>;
}

const COLLECTIONS = new WeakMap<PrometheusRegistry, Map<string, Collection>>();

/**
 * Adds the metrics of a hub to a registry of `prom-client`. They are read when the registry is scraped; between
 * scrapes only opened and ended streams, and a sample of the deliveries, are timed.
 *
 * Several hubs can share a registry if their `labels` differ.
 *
 * @param hub - The hub: `createHub()`, `sse().hub` of `@tidewire/express`, `fastify.sse` of `@tidewire/fastify`.
 * @param options - The registry, and what the metrics are called.
 * @returns A function that removes the metrics of this hub. Idempotent.
 * @throws {SseError} `ERR_SSE_INVALID_OPTION` if an argument is invalid, or if the registry already has a hub with the
 *   same labels.
 */
export function collectPrometheus(hub: MeasuredHub, options: PrometheusOptions): () => void {
  checkArguments("collectPrometheus", hub, options, ["registry", "prefix"]);
  const { registry, prefix = "tidewire_", labels = {}, runs } = options;
  if (typeof registry?.registerMetric !== "function") {
    throw unexpected("registry", "a registry of prom-client", registry);
  }
  if (typeof prefix !== "string" || !/^[a-z_:][a-z0-9_:]*$/i.test(prefix)) {
    throw unexpected("prefix", "a string of letters, digits, `_` and `:`", prefix);
  }
  const collection = collectionOf(registry, prefix);
  const key = describeLabels(labels);
  for (const source of collection.sources) {
    if (describeLabels(source.labels) === key) {
      throw invalid("The registry already has a hub with these `labels`: give each hub its own");
    }
  }
  const histograms = new Map(
    Object.values(TIMED_METRICS).map((metric) => [metric, new Histogram(metric.bounds)]),
  );
  const { wait, lifetime, delay } = TIMED_METRICS;
  let sample: Sample | undefined;
  register(registry, collection.metrics, collection.sources.size === 0);
  if (runs !== undefined) register(registry, collection.runMetrics, false);
  const source: Source = {
    labels,
    histograms,
    unfollow: followDurations(hub, {
      wait: (seconds) => histograms.get(wait)?.add(seconds),
      lifetime: (seconds) => histograms.get(lifetime)?.add(seconds),
      delay: (seconds) => histograms.get(delay)?.add(seconds),
    }),
    sample() {
      if (sample === undefined) {
        sample = { stats: hub.stats(), runs: runs?.stats() };
        // A registry asks all metrics for their values in one turn.
        queueMicrotask(() => (sample = undefined));
      }
      return sample;
    },
  };
  collection.sources.add(source);
  return () => {
    if (!collection.sources.delete(source)) return;
    source.unfollow();
    if (collection.sources.size > 0) return;
    COLLECTIONS.get(registry)?.delete(prefix);
    for (const name of [...collection.metrics.keys(), ...collection.runMetrics.keys()]) {
      registry.removeSingleMetric(name);
    }
  };
}

/** Unit suffixes of Prometheus, as OpenTelemetry's exporters write them. */
const SUFFIXES: Readonly<Record<string, string>> = { s: "_seconds", By: "_bytes" };

/**
 * The name that a metric has in Prometheus.
 *
 * @param name - Its name in OpenTelemetry, without the prefix.
 */
function prometheusName(
  prefix: string,
  { name, unit, kind }: Pick<ReadMetric, "name" | "unit" | "kind">,
): string {
  const base = `${prefix}${name.replaceAll(".", "_")}${SUFFIXES[unit] ?? ""}`;
  return kind === "counter" ? `${base}_total` : base;
}

function collectionOf(registry: PrometheusRegistry, prefix: string): Collection {
  let byPrefix = COLLECTIONS.get(registry);
  if (byPrefix === undefined) COLLECTIONS.set(registry, (byPrefix = new Map()));
  const existing = byPrefix.get(prefix);
  if (existing !== undefined && isIn(registry, existing)) return existing;
  // The registry was cleared.
  for (const source of existing?.sources ?? []) source.unfollow();
  existing?.sources.clear();
  const sources = new Set<Source>();
  const collection = {
    sources,
    metrics: byName([
      ...HUB_METRICS.map((metric) => readMetric(prefix, metric, sources)),
      ...Object.values(TIMED_METRICS).map((metric) => timedMetric(prefix, metric, sources)),
    ]),
    runMetrics: byName(RUN_METRICS.map((metric) => readMetric(prefix, metric, sources))),
  };
  byPrefix.set(prefix, collection);
  return collection;
}

/** Whether a registry has metrics of a collection: an application may remove single ones that it does not want. */
function isIn(registry: PrometheusRegistry, { metrics }: Collection): boolean {
  return [...metrics].some(([name, metric]) => registry.getSingleMetric(name) === metric);
}

function byName(metrics: readonly RegistryMetric[]): Map<string, RegistryMetric> {
  return new Map(metrics.map((metric) => [metric.name, metric]));
}

/** Registers metrics; all of them or, if another package has metrics of these names, none. Idempotent. */
function register(
  registry: PrometheusRegistry,
  metrics: ReadonlyMap<string, RegistryMetric>,
  isFirst: boolean,
): void {
  const registered: string[] = [];
  try {
    for (const [name, metric] of metrics) {
      metric.name = name;
      registry.registerMetric(metric as never);
      registered.push(name);
    }
  } catch (error) {
    if (isFirst) for (const name of registered) registry.removeSingleMetric(name);
    throw error;
  }
}

function readMetric(
  prefix: string,
  metric: ReadMetric,
  sources: ReadonlySet<Source>,
): RegistryMetric {
  const { help, kind, read } = metric;
  const head = {
    help,
    type: kind === "counter" ? "counter" : "gauge",
    // For `AggregatorRegistry`, which joins the metrics of a cluster's processes.
    aggregator: kind === "gauge" ? "max" : "sum",
  };
  return {
    name: prometheusName(prefix, metric),
    type: head.type,
    async get() {
      const values: Value[] = [];
      for (const source of sources) {
        for (const [labels, value] of read(source.sample())) {
          values.push({ labels: { ...source.labels, ...labels }, value });
        }
      }
      return { ...head, name: this.name, values };
    },
    // The counters of a hub cannot be reset.
    reset() {},
  };
}

function timedMetric(
  prefix: string,
  metric: TimedMetric,
  sources: ReadonlySet<Source>,
): RegistryMetric {
  const name = prometheusName(prefix, { name: metric.name, unit: "s", kind: "gauge" });
  return {
    name,
    type: "histogram",
    async get() {
      const values: Value[] = [];
      for (const { labels, histograms } of sources) {
        const histogram = histograms.get(metric);
        if (histogram === undefined) continue;
        const counts = histogram.cumulative();
        for (const [index, value] of counts.entries()) {
          const le = histogram.bounds[index] ?? "+Inf";
          values.push({ labels: { ...labels, le }, value, metricName: `${name}_bucket` });
        }
        values.push(
          { labels, value: histogram.sum, metricName: `${name}_sum` },
          { labels, value: counts.at(-1) ?? 0, metricName: `${name}_count` },
        );
      }
      return { name, help: metric.help, type: "histogram", aggregator: "sum", values };
    },
    reset() {
      for (const { histograms } of sources) histograms.get(metric)?.reset();
    },
  };
}

function describeLabels(labels: Labels): string {
  return JSON.stringify(Object.entries(labels).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}
