import { MARK, SEQUENCE_DIGITS } from "./event-text.js";
import { LoadClient } from "./load-client.js";
import type { LoadListener } from "./load-client.js";
import type { ConnectOrder, LoadProtocol, Range } from "./load-protocol.js";
import { notify, serve, sharedNow } from "./remote.js";

// The clients of one subject, in a separate process: their CPU time is not measured.

let clients: LoadClient[] = [];
/** Events of all clients since `begin`. */
let total = 0;
let step = Infinity;
let nextReport = Infinity;
/** For each event the number of clients that have it, if requested. */
let arrivals: number[] | undefined;
let completedAt: number[] = [];

function fail(error: Error): void {
  notify("failed", error.message);
}

function counting(opened: (client: LoadClient) => void): LoadListener {
  return {
    opened,
    arrived(_client, from, count) {
      total += count;
      if (arrivals !== undefined) note(arrivals, from, count);
      while (total >= nextReport) {
        nextReport += step;
        notify("reached", sharedNow());
      }
    },
    failed: fail,
  };
}

function note(counts: number[], from: number, count: number): void {
  for (let event = from; event < from + count; event++) {
    counts[event] = (counts[event] ?? 0) + 1;
    if (counts[event] === clients.length) completedAt[event] = sharedNow();
  }
}

/** Connects clients, `concurrency` of them at a time; `done` is called for each open stream. */
function connectAll(order: ConnectOrder, done: (client: LoadClient) => void): Promise<void> {
  return new Promise((resolve) => {
    let started = 0;
    let open = 0;
    const listener = counting((client) => {
      done(client);
      open += 1;
      if (open === order.clients) resolve();
      else startNext();
    });
    const startNext = (): void => {
      if (started === order.clients) return;
      const path = order.path.replace("{index}", String(started++));
      const client = new LoadClient(order.port, path, order.lastEventId, listener);
      // For the first client, the order of events is checked too.
      if (clients.length === 0) client.transcript = [];
      clients.push(client);
    };
    for (let first = 0; first < order.concurrency; first++) startNext();
  });
}

function range(values: Iterable<number>): Range {
  let min = Infinity;
  let max = -Infinity;
  for (const value of values) {
    min = Math.min(min, value);
    max = Math.max(max, value);
  }
  return { min, max };
}

/** @returns The first fault in the order in which the events of one client came. */
function disorderOf(client: LoadClient): string | undefined {
  const text = Buffer.concat(client.transcript ?? []).toString("latin1");
  let last: number | undefined;
  for (let at = text.indexOf(MARK); at !== -1; at = text.indexOf(MARK, at + 1)) {
    const sequence = Number(text.slice(at + 1, at + 1 + SEQUENCE_DIGITS));
    if (last !== undefined && sequence !== last + 1) return `event ${sequence} after ${last}`;
    last = sequence;
  }
  return undefined;
}

serve<LoadProtocol>({
  connect: (order) => connectAll(order, () => {}),

  begin(order) {
    total = 0;
    step = order.step;
    nextReport = order.step;
    arrivals = order.isTimed === true ? [] : undefined;
    completedAt = [];
    for (const client of clients) {
      client.events = 0;
      client.bytes = 0;
      client.bodyBytes = 0;
    }
    if (clients[0] !== undefined) clients[0].transcript = [];
  },

  end() {
    const [witness] = clients;
    const disorder = witness === undefined ? undefined : disorderOf(witness);
    if (witness !== undefined) witness.transcript = undefined;
    return {
      clients: clients.length,
      events: range(clients.map(({ events }) => events)),
      bytes: range(clients.map(({ bytes }) => bytes)),
      bodyBytes: clients.reduce((sum, { bodyBytes }) => sum + bodyBytes, 0),
      disorder,
      completedAt,
    };
  },

  async churn(order) {
    await connectAll(order, (client) => client.cut());
    clients = [];
  },

  cut() {
    for (const client of clients) client.cut();
    clients = [];
  },
});
