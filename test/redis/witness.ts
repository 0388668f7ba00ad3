import { expect } from "vitest";
import { eventually } from "../client.js";
import { EventClient } from "../delivery/event-client.js";
import type { ClusterNode, Outcome } from "./node.js";
import type { RedisServer } from "./redis-server.js";

/** The channel that the witnesses are subscribed to. */
export const CHANNEL = "news";

/** A client that stays and takes note of all that comes. */
export class Witness extends EventClient {
  /** When heartbeats came, in milliseconds of `performance.now()`. */
  readonly heartbeats: number[] = [];

  constructor(node: ClusterNode) {
    super(node.port, `/?channel=${CHANNEL}`);
    this.onChunk = (chunk) => {
      // Events have no line that begins with a colon.
      if (chunk.includes("\n:\n")) this.heartbeats.push(performance.now());
      return chunk;
    };
  }

  get received(): string[] {
    return this.events.map(({ data }) => data);
  }

  /**
   * The stream is the one that was opened at first, and it was alive all the time between two moments.
   *
   * @param resets - Those that it was sent.
   */
  hasStayed(from: number, to: number, resets: typeof this.resets = []): void {
    // oxlint-disable vitest/no-standalone-expect -- called by tests
    expect(this.connections).toBe(1);
    expect(this.isOpen).toBe(true);
    expect(this.resets).toEqual(resets);
    const beats = [from, ...this.heartbeats.filter((time) => time > from && time < to), to];
    const gaps = beats.slice(1).map((time, index) => time - (beats[index] as number));
    // One each second, at a resolution of half a second, on a machine that does other things too.
    expect(Math.max(...gaps), "the longest time without a heartbeat").toBeLessThan(3_000);
    // oxlint-enable vitest/no-standalone-expect
  }
}

/** How many publishes ended how. */
export interface Tally {
  readonly published: number;
  readonly rejected: number;
  readonly unknown: number;
  /** Of the unknown ones: those that are in the stream. */
  readonly unknownButThere: number;
  /** The longest that any of them took to settle, in milliseconds. */
  readonly slowestMs: number;
}

/**
 * Compares what publishers were told, what is in the stream, and what was received.
 *
 * Every witness has received the stream: each entry once, in its order, with its id. What a publisher was given an id
 * for is there under that id, and in the order in which it was published; what was rejected is not there; what is
 * unknown is there once or not at all.
 *
 * @param outcomes - Of all that was ever published, one list for each publisher, in the order of its calls.
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
  // Nobody else has published.
  expect(published.length + unknownButThere).toBe(stream.length);
  return {
    published: published.length,
    rejected: rejected.length,
    unknown: unknown.length,
    unknownButThere,
    slowestMs: Math.round(Math.max(...all.map(({ ms }) => ms))),
  };
}

/** @returns The events in the stream, with the ids that clients know them by. */
export async function readStream(server: RedisServer): Promise<{ id: string; data: string }[]> {
  const entries = (await server.command("XRANGE", "tidewire", "-", "+")) as [string, string[]][];
  return entries.flatMap(([streamId, fields]) => {
    const field = (name: string): string | undefined => fields[fields.indexOf(name) + 1];
    // A stream that was empty has an entry that is no event.
    if (!fields.includes("c")) return [];
    return [{ id: `${streamId}~${field("t")}`, data: field("d") ?? "" }];
  });
}
