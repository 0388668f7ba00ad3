import { expect } from "vitest";
import { eventually } from "../client.js";
import { EventClient } from "../delivery/event-client.js";
import type { ClusterNode, Outcome } from "./node.js";
import type { RedisServer } from "./redis-server.js";

/** The channel that the witnesses are subscribed to. */
export const CHANNEL = "news";

/** A client that stays and records all events. */
export class Witness extends EventClient {
  /** Times of heartbeats, on the clock of `performance.now()`. */
  readonly heartbeats: number[] = [];

  constructor(node: ClusterNode) {
    super(node.port, `/?channel=${CHANNEL}`);
    this.onChunk = (chunk) => {
      // Events have no line that starts with a colon.
      if (chunk.includes("\n:\n")) this.heartbeats.push(performance.now());
      return chunk;
    };
  }

  get received(): string[] {
    return this.events.map(({ data }) => data);
  }

  /**
   * Checks that the stream is the one opened first, and that it was alive all the time between two moments.
   *
   * @param resets - Expected resets.
   */
  hasStayed(from: number, to: number, resets: typeof this.resets = []): void {
    // oxlint-disable vitest/no-standalone-expect -- called by tests
    expect(this.connections).toBe(1);
    expect(this.isOpen).toBe(true);
    expect(this.resets).toEqual(resets);
    const beats = [from, ...this.heartbeats.filter((time) => time > from && time < to), to];
    const gaps = beats.slice(1).map((time, index) => time - (beats[index] as number));
    // One each second, with a resolution of half a second, on a machine that is also busy otherwise.
    expect(Math.max(...gaps), "the longest time without a heartbeat").toBeLessThan(3_000);
    // oxlint-enable vitest/no-standalone-expect
  }
}

/** Number of publishes by outcome. */
export interface Tally {
  readonly published: number;
  readonly rejected: number;
  readonly unknown: number;
  /** Of the unknown ones, the number that is in the stream. */
  readonly unknownButThere: number;
  /** Longest time to settle, in milliseconds. */
  readonly slowestMs: number;
}

/**
 * Compares the publishers' outcomes, the content of the stream and the received events.
 *
 * Every witness has received the stream: each entry once, in order, with its id. An event with an id is in the stream
 * under that id, in the order of publishing; a rejected event is not; an unknown one is there once or not at all.
 *
 * @param outcomes - All publishes ever made, one list per publisher in call order.
 */
export async function verify(
  server: RedisServer,
  outcomes: readonly (readonly Outcome[])[],
  witnesses: readonly Witness[],
): Promise<Tally> {
  const stream = await readStream(server);
  for (const witness of witnesses) {
    await eventually(
      `${stream.length} events at a witness that has ${witness.events.length}`,
      () => witness.events.length >= stream.length,
    );
    expect(witness.events.map(({ id, data }) => ({ id, data }))).toEqual(stream);
  }
  const places = new Map(stream.map(({ data }, index) => [data, index]));
  expect(places.size, "each is there once").toBe(stream.length);

  const all = outcomes.flat();
  const withCode = (code: string): Outcome[] => all.filter((outcome) => outcome.code === code);
  const published = all.filter(({ id }) => id !== undefined);
  const rejected = withCode("ERR_SSE_LOG_REJECTED");
  const unknown = withCode("ERR_SSE_LOG_UNKNOWN");
  expect(published.length + rejected.length + unknown.length, "all are one of these").toBe(
    all.length,
  );
  expect(published.filter(({ data, id }) => stream[places.get(data) ?? -1]?.id !== id)).toEqual([]);
  expect(rejected.filter(({ data }) => places.has(data))).toEqual([]);
  for (const list of outcomes) {
    const order = list.flatMap(({ id, data }) => (id === undefined ? [] : [places.get(data)]));
    expect(order).toEqual(order.toSorted((a, b) => Number(a) - Number(b)));
  }
  const unknownButThere = unknown.filter(({ data }) => places.has(data)).length;
  // There were no other publishers.
  expect(published.length + unknownButThere).toBe(stream.length);
  return {
    published: published.length,
    rejected: rejected.length,
    unknown: unknown.length,
    unknownButThere,
    slowestMs: Math.round(Math.max(...all.map(({ ms }) => ms))),
  };
}

/** @returns The events in the stream, with their client-facing ids. */
export async function readStream(server: RedisServer): Promise<{ id: string; data: string }[]> {
  const entries = (await server.command("XRANGE", "tidewire", "-", "+")) as [string, string[]][];
  return entries.flatMap(([streamId, fields]) => {
    const field = (name: string): string | undefined => fields[fields.indexOf(name) + 1];
    // An initially empty stream has an entry that is not an event.
    if (!fields.includes("c")) return [];
    return [{ id: `${streamId}~${field("t")}`, data: field("d") ?? "" }];
  });
}
