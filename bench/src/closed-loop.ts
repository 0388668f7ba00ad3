import { setTimeout as wait } from "node:timers/promises";
import type { LoadReport } from "./load-protocol.js";
import type { Pair } from "./pair.js";
import type { ServerReport } from "./server-protocol.js";
import { median } from "./statistics.js";

/** What happens in one measured section. */
export interface LoopPlan {
  readonly clients: number;
  /** Publishing so many times, each after everybody has what was published before. */
  readonly steps: number;
  /** Events published at a time. */
  readonly eventsAStep: number;
  readonly bytes: number;
  /**
   * Each client has a channel of its own, and each step goes on with the next channels: published in one turn of the
   * event loop, or each in its own.
   */
  readonly spread?: "turn" | "turns";
}

/** What came of it. */
export interface LoopResult {
  /** Server CPU for one event to one client, in microseconds. */
  readonly cpuUs: number;
  /** From publishing to the last client, in milliseconds: the median of all steps. */
  readonly wallMs: number;
  /** Bytes on the wire of one event, chunk framing included. */
  readonly bytesAnEvent: number;
}

/** What a server still does when its last client has everything belongs to the section. */
const SETTLE_MS = 10;

/**
 * Publishes, waits until every client has everything, publishes again: so that no subject gains by joining
 * events that another sends one by one.
 *
 * @returns The cost.
 * @throws If a single byte or event is missing, doubled or out of order.
 */
export async function runClosedLoop(pair: Pair, plan: LoopPlan): Promise<LoopResult> {
  const { server, load } = pair;
  const isSpread = plan.spread !== undefined;
  await load.begin({ step: isSpread ? plan.eventsAStep : plan.eventsAStep * plan.clients });
  await server.begin();
  const walls: number[] = [];
  const reachedAt: number[] = [];
  for (let step = 0; step < plan.steps; step++) {
    const first = isSpread ? step * plan.eventsAStep : pair.sequence;
    const channel = isSpread ? "c{index}" : "all";
    const { eventsAStep: count, bytes, spread } = plan;
    server.publish({ channel, first, count, bytes, spread });
    pair.sequence += plan.eventsAStep;
    reachedAt.push(await load.reached());
  }
  await wait(SETTLE_MS);
  const done = await server.end();
  const report = await load.end();
  for (const [step, at] of reachedAt.entries()) walls.push(at - (done.publishedAt[step] ?? NaN));

  const events = isSpread ? 1 : plan.steps * plan.eventsAStep;
  checkArrival(pair, report, events, plan, done);
  return {
    cpuUs: done.cpuUs / (events * plan.clients),
    wallMs: median(walls),
    bytesAnEvent: report.bytes.max / events,
  };
}

/** What was not delivered whole is not worth measuring. */
function checkArrival(
  { subject }: Pair,
  { clients, events, bytes, totalBytes, disorder }: LoadReport,
  expected: number,
  plan: LoopPlan,
  { wireBytes }: ServerReport,
): void {
  const fail = (what: string): never => {
    throw new Error(`${subject} did not deliver what was published: ${what}`);
  };
  if (clients !== plan.clients) fail(`${clients} of ${plan.clients} clients are there`);
  if (events.min !== expected || events.max !== expected) {
    fail(`of ${expected} events its clients have ${events.min} to ${events.max}`);
  }
  if (disorder !== undefined) fail(disorder);
  // With a channel for each client the ids differ in length.
  if (plan.spread === undefined && bytes.min !== bytes.max) {
    fail(`its clients have ${bytes.min} to ${bytes.max} bytes`);
  }
  if (bytes.min < expected * plan.bytes) fail(`a client has only ${bytes.min} bytes`);
  // Events that are published together may share a chunk.
  if (wireBytes === undefined || (plan.eventsAStep > 1 && plan.spread === undefined)) return;
  const published = plan.spread !== undefined ? wireBytes : wireBytes * clients;
  if (published !== totalBytes) {
    fail(`${published} bytes were published to its clients, ${totalBytes} have arrived`);
  }
}
