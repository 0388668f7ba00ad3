import { setTimeout as wait } from "node:timers/promises";
import { REDIS_CATALOGUE } from "./catalogue.js";
import { eventText } from "./event-text.js";
import type { RedisPublisherProtocol } from "./redis-protocol.js";
import type { RedisPublisher } from "./redis-subject.js";
import { serve, sharedNow } from "./remote.js";

// Publishes to the nodes of one cluster, in a separate process without streams.

let running: RedisPublisher | undefined;
/** Number of `dedupeKey`s used so far. */
let keys = 0;

function publisher(): RedisPublisher {
  if (running === undefined) throw new Error("The publisher has not been started");
  return running;
}

serve<RedisPublisherProtocol>({
  async start({ subject: name, ...place }) {
    const { subject } = await REDIS_CATALOGUE[name].load();
    running = await subject.startPublisher(place);
  },

  async publishPaced({ channel, first, count, perSecond, bytes }) {
    const publishedAt: number[] = [];
    const accepted: Promise<unknown>[] = [];
    const start = sharedNow();
    while (publishedAt.length < count) {
      const due = Math.min(count, 1 + Math.floor(((sharedNow() - start) * perSecond) / 1_000));
      while (publishedAt.length < due) {
        const text = eventText(first + publishedAt.length, bytes);
        publishedAt.push(sharedNow());
        accepted.push(publisher().publish(channel, text));
      }
      await wait(Math.max(1, start + (due * 1_000) / perSecond - sharedNow()));
    }
    await Promise.all(accepted);
    return publishedAt;
  },

  async publishBusily({ count, inFlight, bytes, isDeduped }) {
    const before = await publisher().count();
    let next = 0;
    const work = async (): Promise<void> => {
      while (next < count) {
        const text = eventText(next++, bytes);
        if (isDeduped) await publisher().publish("all", text, `key-${++keys}`);
        else await publisher().publish("all", text);
      }
    };
    const cpuAtBegin = process.cpuUsage();
    const start = performance.now();
    await Promise.all(Array.from({ length: inFlight }, work));
    const elapsedMs = performance.now() - start;
    const { user, system } = process.cpuUsage(cpuAtBegin);
    const after = await publisher().count();
    if (before !== undefined && after !== before + count) {
      throw new Error(`Of ${count} events ${Number(after) - before} are in the stream`);
    }
    return { elapsedMs, cpuUs: user + system };
  },
});
