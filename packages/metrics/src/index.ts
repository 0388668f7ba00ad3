/** Entry point for applications: `@tidewire/metrics`. */

export { collectPrometheus } from "./prometheus.js";
export type { PrometheusOptions, PrometheusRegistry } from "./prometheus.js";
export { observeOpenTelemetry } from "./open-telemetry.js";
export type {
  InstrumentOptions,
  ObservedValues,
  OpenTelemetryMeter,
  OpenTelemetryOptions,
} from "./open-telemetry.js";
export type { MeasuredHub, MeasuredRuns, MetricsOptions, RunCounts } from "./options.js";
