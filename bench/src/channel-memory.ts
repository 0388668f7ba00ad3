import { setTimeout as wait } from "node:timers/promises";
import type { NodeServerName } from "./catalogue.js";
import { Pair } from "./pair.js";
import { NodeServer } from "./server.js";

/** Heap bytes per channel with one client. */
export interface ChannelMemory {
  /** Before the first event. */
  readonly quiet: number;
  /** After one event on each channel, including the event kept for replay. */
  readonly used: number;
}

const WARM_STREAMS = 400;
const SETTLE_MS = 300;
const BYTES = 100;

/**
 * Compares a server with one channel per client to one with a single channel.
 *
 * @param subject - The server to measure, already started.
 * @param clients - Number of clients, and of channels.
 */
export async function measureChannelMemory(
  subject: NodeServerName,
  clients: number,
): Promise<ChannelMemory> {
  const many = await measure(subject, clients, "c{index}");
  const one = await measure(subject, clients, "all");
  return { quiet: many.quiet - one.quiet, used: many.used - one.used };
}

/** @returns Heap per client. */
async function measure(
  subject: NodeServerName,
  clients: number,
  channel: string,
): Promise<ChannelMemory> {
  const server = await NodeServer.start(subject, { exposesGc: true });
  const pair = new Pair(subject, server);
  const { load } = pair;
  const heap = async (): Promise<number> => {
    await wait(SETTLE_MS);
    return (await server.remote.call("memory", null)).heapBytes;
  };
  try {
    await load.connect(server.port, WARM_STREAMS, "/events?channel=warm");
    await load.cut();
    const before = await heap();
    await load.connect(server.port, clients, `/events?channel=${channel}`);
    const quiet = await heap();
    const spread = channel === "all" ? undefined : "turns";
    await load.begin({ step: clients });
    // One event on each channel. With a single channel this is one event for all clients.
    const count = spread === undefined ? 1 : clients;
    const receivers = clients / count;
    server.publish({ channel, first: 0, count, bytes: BYTES, spread, receivers });
    await load.reached();
    const used = await heap();
    return { quiet: (quiet - before) / clients, used: (used - before) / clients };
  } finally {
    await pair.stop();
  }
}
