/** The metrics, each with its name, meaning and source: one list for Prometheus and OpenTelemetry. */

import type { HubStats } from "@tidewire/core";
import type { RunCounts } from "./options.js";

/** Source of the metrics of one moment. */
export interface Sample {
  readonly stats: HubStats;
  /** Absent if no runs were given. */
  readonly runs?: RunCounts | undefined;
}

/** One time series: the labels that it has besides those of its hub, and its value. */
export type Point = readonly [labels: Readonly<Record<string, string>>, value: number];

/** A metric that is read when metrics are collected. */
export interface ReadMetric {
  /** Name in OpenTelemetry, without the prefix. */
  readonly name: string;
  readonly help: string;
  /** `s`, `By`, or what is counted, in braces. */
  readonly unit: string;
  /** A counter only grows; the other kinds go up and down. Values of a `sum` of several processes can be added. */
  readonly kind: "counter" | "sum" | "gauge";
  /** Values of a label that has a fixed set. */
  read(sample: Sample): readonly Point[];
}

/** A metric that collects durations as they happen. */
export interface TimedMetric {
  readonly name: string;
  readonly help: string;
  /** Upper bounds in seconds, in ascending order. */
  readonly bounds: readonly number[];
}

const NO_LABELS = {};

function one(value: number): readonly Point[] {
  return [[NO_LABELS, value]];
}

function each(label: string, values: Readonly<Record<string, number>>): readonly Point[] {
  return Object.entries(values).map(([name, value]): Point => [{ [label]: name }, value]);
}

const LOG_STATES = ["connecting", "live", "down", "closed"] as const;

/** Metrics of a hub. */
export const HUB_METRICS: readonly ReadMetric[] = [
  {
    name: "sessions",
    help: "Sessions by state: connecting; live or behind (open, with channels); plain (open, without channels)",
    unit: "{session}",
    kind: "sum",
    read({ stats: { sessions } }) {
      const { connecting, open, live, behind } = sessions;
      return each("state", { connecting, live, behind, plain: open - live - behind });
    },
  },
  {
    name: "sessions.opened",
    help: "Streams that have started",
    unit: "{session}",
    kind: "counter",
    read: ({ stats }) => one(stats.opened),
  },
  {
    name: "sessions.closed",
    help: "Streams that have ended, by close reason",
    unit: "{session}",
    kind: "counter",
    read: ({ stats }) => each("reason", stats.closes),
  },
  {
    name: "clients.turned_away",
    help: "Clients turned away because of maxSessions or maxSessionsPerIdentity, or because the hub was closing",
    unit: "{client}",
    kind: "counter",
    read: ({ stats }) => one(stats.turnedAway),
  },
  {
    name: "clients.held",
    help: "Turned-away clients that are held at present",
    unit: "{client}",
    kind: "sum",
    read: ({ stats }) => one(stats.held),
  },
  {
    name: "readers",
    help: "Loops over hub.read that are running",
    unit: "{reader}",
    kind: "sum",
    read: ({ stats }) => one(stats.readers),
  },
  {
    name: "channels",
    help: "Channels with at least one subscription or reader in this process",
    unit: "{channel}",
    kind: "sum",
    read: ({ stats }) => one(stats.channels),
  },
  {
    name: "events.published",
    help: "Events published by this process",
    unit: "{event}",
    kind: "counter",
    read: ({ stats }) => one(stats.published),
  },
  {
    name: "events.delivered",
    help: "Published events written to sessions: one event to a thousand sessions counts as a thousand",
    unit: "{event}",
    kind: "counter",
    read: ({ stats }) => one(stats.delivered),
  },
  {
    name: "delivered",
    help: "Bytes of the published events written to sessions",
    unit: "By",
    kind: "counter",
    read: ({ stats }) => one(stats.deliveredBytes),
  },
  {
    name: "messages.sent",
    help: "Messages that routes sent to single sessions",
    unit: "{message}",
    kind: "counter",
    read: ({ stats }) => one(stats.sent),
  },
  {
    name: "sent",
    help: "Bytes of the messages that routes sent to single sessions",
    unit: "By",
    kind: "counter",
    read: ({ stats }) => one(stats.sentBytes),
  },
  {
    name: "replays",
    help: "Clients that reconnected and got a replay of missed events",
    unit: "{client}",
    kind: "counter",
    read: ({ stats }) => one(stats.replays),
  },
  {
    name: "resets",
    help: "sse-reset events, by reason",
    unit: "{reset}",
    kind: "counter",
    read: ({ stats }) => each("reason", stats.resets),
  },
  {
    name: "window.events",
    help: "Events kept in memory for replay",
    unit: "{event}",
    kind: "gauge",
    read: ({ stats }) => one(stats.window.events),
  },
  {
    name: "window.size",
    help: "Memory of the events kept for replay",
    unit: "By",
    kind: "sum",
    read: ({ stats }) => one(stats.window.bytes),
  },
  {
    name: "window.age",
    help: "Age of the oldest event kept in memory for replay",
    unit: "s",
    kind: "gauge",
    read: ({ stats }) => one(stats.window.ageMs / 1_000),
  },
  {
    name: "log.state",
    help: "1 for the state of the log, 0 for the others",
    unit: "{state}",
    kind: "sum",
    read({ stats: { log } }) {
      return LOG_STATES.map((state): Point => [{ state }, log.state === state ? 1 : 0]);
    },
  },
  {
    name: "log.lag",
    help: "Time for which this process may have been missing events of others",
    unit: "s",
    kind: "gauge",
    read: ({ stats }) => one(stats.log.lagMs / 1_000),
  },
  {
    name: "log.reconnects",
    help: "How often the connection that reads the log was lost and restored",
    unit: "{reconnect}",
    kind: "counter",
    read: ({ stats }) => one(stats.log.reconnects),
  },
  {
    name: "closing",
    help: "1 while the hub is closing or closed",
    unit: "{hub}",
    kind: "sum",
    read: ({ stats }) => one(stats.closing ? 1 : 0),
  },
];

/** Metrics of runs, where they are given. */
export const RUN_METRICS: readonly ReadMetric[] = [
  {
    name: "runs.running",
    help: "Runs that this process is producing",
    unit: "{run}",
    kind: "sum",
    read: ({ runs }) => (runs === undefined ? [] : one(runs.running)),
  },
  {
    name: "runs.followers",
    help: "Sessions and loops of this process that follow a run",
    unit: "{follower}",
    kind: "sum",
    read: ({ runs }) => (runs === undefined ? [] : one(runs.followers)),
  },
  {
    name: "runs.started",
    help: "Runs that this process has started",
    unit: "{run}",
    kind: "counter",
    read: ({ runs }) => (runs === undefined ? [] : one(runs.started)),
  },
  {
    name: "runs.ended",
    help: "Ends of the runs that this process has started, by outcome",
    unit: "{run}",
    kind: "counter",
    read: ({ runs }) => (runs === undefined ? [] : each("outcome", runs.ends)),
  },
];

/** Durations. */
export const TIMED_METRICS: {
  readonly wait: TimedMetric;
  readonly lifetime: TimedMetric;
  readonly delay: TimedMetric;
} = {
  wait: {
    name: "session.wait",
    help: "Time from the first use of a session to the start of its stream: authorize, CORS, the log",
    bounds: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
  },
  lifetime: {
    name: "session.lifetime",
    help: "Time from the start of a stream to its end, of streams that have ended",
    bounds: [1, 5, 15, 60, 300, 900, 1_800, 3_600, 7_200, 14_400, 28_800, 86_400],
  },
  delay: {
    name: "delivery.delay",
    help: "Time from the publish of an event, or its arrival from other processes, to its write to the last session that is up to date; sampled",
    bounds: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5],
  },
};
