import { EventEmitter, on } from "node:events";
import http from "node:http";
import { setImmediate as nextTurn } from "node:timers/promises";
import { createHub } from "@tidewire/core";
import type { Hub } from "@tidewire/core";
import { eventText } from "./event-text.js";
import { listen } from "./listen.js";
import { Remote, serve } from "./remote.js";
import type { ReadClientsProtocol, ReadProtocol, ReadWay } from "./read-protocol.js";

// A separate process, so that its heap holds nothing else.

const CLIENTS = new URL("read-clients-process.js", import.meta.url);
/** Events per turn of the event loop, as on a busy server. */
const BATCH = 10;
/** The same while readers sleep: more than a reader takes at once. */
const SLEEP_BATCH = 200;
const CHANNEL = "news";

/** Readers that are ready for events. */
interface Ready {
  publish(data: string): void;
  /** Settles once every reader has everything. */
  done(): Promise<void>;
  close(): Promise<void>;
}

const START: Readonly<
  Record<ReadWay, (readers: number, events: number) => Ready | Promise<Ready>>
> = {
  read(readers, events) {
    const hub = createHub();
    const loops = Array.from({ length: readers }, async () => {
      let left = events;
      for await (const item of hub.read(CHANNEL)) {
        if (item.type === "reset") throw new Error("A reader was too slow");
        if (--left === 0) break;
      }
    });
    return {
      publish: (data) => void hub.publish(CHANNEL, data),
      done: async () => void (await Promise.all(loops)),
      close: () => hub.close(),
    };
  },
  emitter(readers, events) {
    const emitter = new EventEmitter().setMaxListeners(Infinity);
    const loops = Array.from({ length: readers }, async () => {
      let left = events;
      for await (const _item of on(emitter, CHANNEL)) if (--left === 0) break;
    });
    return {
      publish: (data) => void emitter.emit(CHANNEL, data),
      done: async () => void (await Promise.all(loops)),
      close: async () => {},
    };
  },
  async session(readers, events) {
    const hub = createHub({ heartbeatMs: false });
    const server = http.createServer((request, response) => {
      void hub.createSession({ request, response }).subscribe(CHANNEL);
    });
    const port = await listen(server);
    const clients = new Remote<ReadClientsProtocol>("The clients", CLIENTS);
    await clients.call("connect", { port, clients: readers });
    const { delivered } = hub.stats();
    return {
      publish: (data) => void hub.publish(CHANNEL, data),
      async done() {
        while (hub.stats().delivered - delivered < readers * events) await nextTurn();
      },
      async close() {
        await clients.call("disconnect", undefined);
        await clients.stop();
        await hub.close();
        server.close();
      },
    };
  },
};

serve<ReadProtocol>({
  async measure({ way, bytes, readers, events }) {
    const ready = await START[way](readers, events);
    await nextTurn();
    const start = process.cpuUsage();
    for (let done = 0; done < events; done += BATCH) {
      for (let one = 0; one < BATCH; one++) ready.publish(eventText(done + one, bytes));
      await nextTurn();
    }
    await ready.done();
    const { user, system } = process.cpuUsage(start);
    await ready.close();
    return (user + system) / (events * readers);
  },

  async sleep({ way, readers, events, distance }) {
    const hub = createHub({ retention: { maxEvents: 10_000 } });
    const emitter = new EventEmitter().setMaxListeners(Infinity);
    const publish = (number: number): void => {
      const isOwn = number % distance === 0;
      const data = eventText(number, 100);
      if (way === "read") void hub.publish(isOwn ? CHANNEL : "other", data);
      else if (isOwn) emitter.emit(CHANNEL, data);
    };
    await publishMany(20_000, publish);
    const before = await used();
    const asleep: AsyncIterator<unknown>[] = [];
    const group = readers / 10;
    for (let done = 0; done < readers; done += group) {
      // Each group stands at another place.
      const begun = Array.from({ length: group }, () => begin(way, hub, emitter));
      const first = begun.map((reading) => reading.next());
      await publishMany(events / 10, publish);
      await Promise.all(first);
      asleep.push(...begun);
    }
    await publishMany(events, publish);
    const after = await used();
    for (const reading of asleep) await reading.return?.();
    await hub.close();
    return (after - before) / readers / 1_024;
  },
});

function begin(way: "read" | "emitter", hub: Hub, emitter: EventEmitter): AsyncIterator<unknown> {
  return way === "read" ? hub.read(CHANNEL) : on(emitter, CHANNEL);
}

async function publishMany(count: number, publish: (number: number) => void): Promise<void> {
  for (let number = 0; number < count; number++) {
    publish(number);
    if (number % SLEEP_BATCH === SLEEP_BATCH - 1) await nextTurn();
  }
}

/** @returns Bytes of JavaScript objects and of buffers. */
async function used(): Promise<number> {
  for (let times = 0; times < 3; times++) {
    await nextTurn();
    globalThis.gc?.();
  }
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}
