import { findFigure, ratioTo } from "./figure.js";
import type { Figure } from "./figure.js";
import { differenceOf } from "./statistics.js";
import { formatFigure, formatRatio, formatStatistics } from "./table.js";
import type { Table } from "./table.js";
import { decided, lessThan } from "./target.js";
import type { Target } from "./target.js";

// Names of the cases and figures of the suite `redis`, and the tables that show them.

export const OURS = "tidewire-redis";
const CONTROL = "redis-xread";
/** Measured only for events that no client wants. */
export const PACED = "redis-xrange";
/** Number of nodes in the larger cluster. */
export const NODES = 4;

/** Names of the cases. */
export const CASE = {
  slow: "latency, 100 events a second",
  fast: "latency, 2 000 events a second",
  unwanted: "not wanted, one node",
  unwantedNodes: "not wanted, four nodes",
  delivered: "delivered to 100 clients",
  publishing: "publishing",
} as const;

/** Names of the figures. */
export const WHAT = {
  p50: "from publishing to the client, 50 %, ms",
  p99: "from publishing to the client, 99 %, ms",
  max: "from publishing to the client, longest, ms",
  share: "CPU of a node, % of a core",
  nodeEvent: "CPU of a node per event, µs",
  nodeDelivery: "CPU of the node per delivery, µs",
  redis: "CPU of redis-server per publish, µs",
  perSecond: "publishes a second",
  publisher: "CPU of the publisher per publish, µs",
} as const;

const LATENCY_LIMIT_MS = 25;
const SHARE_LIMIT = 3;

/** @returns The tables that have rows. */
export function redisTables(figures: readonly Figure[]): Table[] {
  return [
    latencyTable(figures),
    unwantedTable(figures),
    deliveryTable(figures),
    publishingTable(figures),
  ].filter(({ rows }) => rows.length > 0);
}

export function redisTargets(figures: readonly Figure[]): Target[] {
  return decided([
    lessThan(
      `${OURS}: 99 % of 2 000 events a second there within ${LATENCY_LIMIT_MS} ms`,
      findFigure(figures, { subject: OURS, in: CASE.fast, what: WHAT.p99 }),
      LATENCY_LIMIT_MS,
      " ms",
    ),
    lessThan(
      `${OURS}: less than ${SHARE_LIMIT} % of a core for 2 000 events a second that no client wants`,
      findFigure(figures, { subject: OURS, in: CASE.unwanted, what: WHAT.share }),
      SHARE_LIMIT,
      " %",
    ),
  ]);
}

function latencyTable(figures: readonly Figure[]): Table {
  const rows = [CASE.slow, CASE.fast].flatMap((place) =>
    figures.filter((figure) => figure.in === place && figure.what === WHAT.p99),
  );
  return {
    title: "From publishing to the client of another node, ms",
    columns: ["", "50 %", "99 %", "longest"],
    rows: rows.map((figure) => [
      `${figure.subject}, ${figure.in.replace("latency, ", "")}`,
      formatFigure(findFigure(figures, { ...figure, what: WHAT.p50 })?.median),
      formatStatistics(figure),
      formatFigure(findFigure(figures, { ...figure, what: WHAT.max })?.median),
    ]),
  };
}

function unwantedTable(figures: readonly Figure[]): Table {
  const rows = figures.filter(
    ({ in: place, what }) => place === CASE.unwanted && what === WHAT.share,
  );
  return {
    title: "2 000 events a second that no client of the node wants",
    columns: [
      "",
      "% of a core",
      "µs per event",
      `of ${CONTROL}`,
      `of ${PACED}`,
      "redis-server µs per publish",
      "for each further node",
    ],
    rows: rows.map((figure) => {
      const own = { ...figure, what: WHAT.redis };
      const many = findFigure(figures, { ...own, in: CASE.unwantedNodes });
      const further = differenceOf(many, findFigure(figures, own))?.median ?? NaN;
      return [
        figure.subject,
        formatStatistics(figure),
        formatFigure(findFigure(figures, { ...figure, what: WHAT.nodeEvent })?.median),
        formatRatio(ratioTo(figures, figure, { subject: CONTROL })),
        formatRatio(ratioTo(figures, figure, { subject: PACED })),
        formatFigure(findFigure(figures, own)?.median),
        formatFigure(further / (NODES - 1)),
      ];
    }),
  };
}

function deliveryTable(figures: readonly Figure[]): Table {
  const rows = figures.filter(({ what }) => what === WHAT.nodeDelivery);
  return {
    title: "200 events a second to 100 clients of one node",
    columns: ["", "CPU µs per delivery", `of ${CONTROL}`],
    rows: rows.map((figure) => [
      figure.subject,
      formatStatistics(figure),
      formatRatio(ratioTo(figures, figure, { subject: CONTROL })),
    ]),
  };
}

function publishingTable(figures: readonly Figure[]): Table {
  const rows = figures.filter(({ what }) => what === WHAT.perSecond);
  return {
    title: "One process publishes, 64 at a time",
    columns: [
      "",
      "publishes a second",
      "CPU µs per publish",
      `of ${CONTROL}`,
      "redis-server µs per publish",
    ],
    rows: rows.map((figure) => {
      const cpu = { ...figure, what: WHAT.publisher };
      return [
        figure.subject,
        formatStatistics(figure),
        formatFigure(findFigure(figures, cpu)?.median),
        formatRatio(ratioTo(figures, cpu, { subject: CONTROL })),
        formatFigure(findFigure(figures, { ...figure, what: WHAT.redis })?.median),
      ];
    }),
  };
}
