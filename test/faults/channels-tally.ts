import { eventually } from "../client.js";
import type { EventClient } from "../delivery/event-client.js";

const LAST_CHUNK = Buffer.from("0\r\n\r\n");

/** Received events as numbers: the events themselves would fill the memory of the test. */
export class Tally {
  /** Numbers of the events, in the order of arrival. */
  readonly numbers: number[] = [];
  /** Milliseconds from publish to arrival. */
  readonly latencies: number[] = [];
  /** Number of events before each reset. */
  readonly resetsAfter: number[] = [];

  constructor(client: EventClient) {
    client.onEvent = ({ data }) => {
      client.events.length = 0;
      while (this.resetsAfter.length < client.resets.length) {
        this.resetsAfter.push(this.numbers.length);
      }
      const [number, at] = data.split(" ", 2);
      this.numbers.push(Number(number));
      this.latencies.push(performance.timeOrigin + performance.now() - Number(at));
    };
  }
}

/** Calls `fn` when the body of the client's response has ended; over HTTP/1.1 the connection stays open. */
export function whenBodyEnds(client: EventClient, fn: () => void): void {
  let tail = Buffer.alloc(0);
  client.onChunk = (chunk) => {
    tail = Buffer.concat([tail, chunk.subarray(-LAST_CHUNK.length)]).subarray(-LAST_CHUNK.length);
    if (tail.equals(LAST_CHUNK)) {
      tail = Buffer.alloc(0);
      setImmediate(fn);
    }
    return chunk;
  };
}

/** Connects clients in groups, so that no listen queue overflows, and waits until all have a stream. */
export async function connectAll(clients: readonly EventClient[], atOnce = 250): Promise<void> {
  for (let begin = 0; begin < clients.length; begin += atOnce) {
    const wave = clients.slice(begin, begin + atOnce);
    for (const client of wave) client.connect();
    await eventually("a wave of clients to be open", () => wave.every(({ isOpen }) => isOpen));
  }
}

/** Describes where a run of consecutive numbers breaks, more readable than a diff of thousands of numbers. */
export function faultIn(numbers: readonly number[], from: number, to: number): string {
  const at = numbers.findIndex((number, index) => number !== from + index);
  if (at !== -1) {
    return `at ${at}: expected ${from + at}, got ${numbers.slice(at, at + 5).join()} (${numbers.length} in all)`;
  }
  if (numbers.length === to - from) return "none";
  return `${numbers.length} from ${from}, expected ${to - from}`;
}

/** @returns The value that `share` of the values do not exceed. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? 0;
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}
