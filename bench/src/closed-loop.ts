import { setTimeout as wait } from "node:timers/promises";
import type { LoadReport } from "./load-protocol.js";
import type { Pair } from "./pair.js";
import type { ServerReport } from "./server-protocol.js";
import { median } from "./statistics.js";

/** The work of one measured section. */
export interface LoopPlan {
  readonly clients: number;
  /** Number of publishes, each made after all clients have the previous events. */
  readonly steps: number;
  /** Events per publish. */
  readonly eventsAStep: number;
  readonly bytes: number;
  /**
   * Each client has its own channel, and each step goes on with the next channels. It publishes on all of them in one turn
   * of the event loop, or on each in a separate turn.
   */
  readonly spread?: "turn" | "turns";
}

/** The result of a section. */
export interface LoopResult {
  /** Server CPU per delivery, in microseconds. */
  readonly cpuUs: number;
  /** Time from publishing to the last client, in milliseconds: the median of all steps. */
  readonly wallMs: number;
  /** Bytes of one event on the wire, including chunk framing. */
  readonly bytesAnEvent: number;
}

/** Steps of one measured section. */
export interface LoopSteps {
  readonly clients: number;
  readonly steps: number;
  /** Deliveries of one step over all clients. */
  readonly deliveriesAStep: number;
  /** Events that each client has at the end. */
  readonly events: number;
  /** Bytes of data of each event. */
  readonly bytes: number;
  /** Whether all clients get the same bytes. With individual channels, ids differ in length. */
  readonly isUniform: boolean;
  /** Makes the server publish the events of a step. */
  publish(step: number): void;
}

/** Work that a server still does after its last client has everything belongs to the section. */
const SETTLE_MS = 10;

/**
 * Publishes, waits until every client has everything, and publishes again. A subject thus gains nothing by joining
 * events that another sends one by one.
 *
 * @returns The cost.
 * @throws If a single byte or event is missing, duplicated or out of order.
 */
export async function runClosedLoop(pair: Pair, plan: LoopPlan): Promise<LoopResult> {
  const { clients, steps, eventsAStep: count, bytes, spread } = plan;
  const isSpread = spread !== undefined;
  return runSteps(pair, {
    clients,
    steps,
    deliveriesAStep: isSpread ? count : count * clients,
    events: isSpread ? 1 : steps * count,
    bytes,
    isUniform: !isSpread,
    publish(step) {
      const first = isSpread ? step * count : pair.sequence;
      const channel = isSpread ? "c{index}" : "all";
      pair.server.publish({
        channel,
        first,
        count,
        bytes,
        spread,
        receivers: isSpread ? 1 : clients,
      });
      pair.sequence += count;
    },
  });
}

/** Same as {@link runClosedLoop}, for any kind of step. */
export async function runSteps(pair: Pair, plan: LoopSteps): Promise<LoopResult> {
  const { server, load } = pair;
  const { steps, deliveriesAStep, clients, events } = plan;
  await load.begin({ step: deliveriesAStep });
  await server.begin();
  const reachedAt: number[] = [];
  for (let step = 0; step < steps; step++) {
    plan.publish(step);
    reachedAt.push(await load.reached());
  }
  await wait(SETTLE_MS);
  const done = await server.end();
  const report = await load.end();
  checkArrival(pair, report, plan, done);
  return {
    cpuUs: done.cpuUs / (events * clients),
    wallMs: median(reachedAt.map((at, step) => at - (done.publishedAt[step] ?? NaN))),
    bytesAnEvent: report.bytes.max / events,
  };
}

/** A section with missing events is not worth measuring. */
function checkArrival(
  { subject }: Pair,
  { clients, events, bytes, bodyBytes, disorder }: LoadReport,
  plan: LoopSteps,
  published: ServerReport,
): void {
  const fail = (what: string): never => {
    throw new Error(`${subject} did not deliver what was published: ${what}`);
  };
  if (clients !== plan.clients) fail(`${clients} of ${plan.clients} clients are there`);
  if (events.min !== plan.events || events.max !== plan.events) {
    fail(`of ${plan.events} events its clients have ${events.min} to ${events.max}`);
  }
  if (disorder !== undefined) fail(disorder);
  if (bytes.min < plan.events * plan.bytes) fail(`a client has only ${bytes.min} bytes`);
  if (plan.isUniform && bytes.min !== bytes.max) {
    fail(`its clients have ${bytes.min} to ${bytes.max} bytes`);
  }
  if (published.bodyBytes === undefined) return;
  // Compared without chunk framing, which the load checks, because events published together may share a chunk.
  if (published.bodyBytes !== bodyBytes) {
    fail(`${published.bodyBytes} bytes were published to its clients, ${bodyBytes} have arrived`);
  }
}
