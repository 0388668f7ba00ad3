import { monitorEventLoopDelay } from "node:perf_hooks";
import { setImmediate as nextTurn, setTimeout as wait } from "node:timers/promises";
import { CATALOGUE } from "./catalogue.js";
import { eventText } from "./event-text.js";
import { serve, sharedNow } from "./remote.js";
import type { LoopDelay, MixedOrder, PublishOrder, ServerProtocol } from "./server-protocol.js";
import type { RunningSubject, Sent } from "./subject.js";

// The server of one subject, in a separate process whose CPU time and memory are measured.

let running: RunningSubject | undefined;
let cpuAtBegin = process.cpuUsage();
let bodyBytes: number | undefined = 0;
let publishedAt: number[] = [];
/** Number of unsettled publishes. A set of their promises would cost as much as publishing. */
const unsettled = { count: 0 };

function publishOne(
  { channel, bytes, receivers }: PublishOrder,
  sequence: number,
  index: number,
): void {
  const name = channel.replace("{index}", String(index));
  publishText(name, eventText(sequence, bytes), receivers);
}

function publishText(channel: string, text: string, receivers: number): void {
  if (running === undefined) throw new Error("The subject has not been started");
  const sent = running.publish(channel, text);
  if (!(sent instanceof Promise)) return count(sent, receivers);
  unsettled.count += 1;
  // A rejection ends the process, and with it the run. With one client per event, a closure per event would distort the
  // measurement.
  void sent.then(receivers === 1 ? countSettled : (one) => countSettled(one, receivers));
}

function countSettled(sent: Sent | undefined, receivers = 1): void {
  unsettled.count -= 1;
  count(sent, receivers);
}

function count(sent: Sent | undefined, receivers: number): void {
  bodyBytes =
    sent === undefined || bodyBytes === undefined
      ? undefined
      : bodyBytes + sent.blockBytes * receivers;
}

async function publishSpread(order: PublishOrder): Promise<void> {
  for (let done = 0; done < order.count; done++) {
    publishOne(order, order.first + done, order.first + done);
    if (order.spread === "turns") await nextTurn();
  }
}

async function publishMixed({ first, clients, bytes, turns }: MixedOrder): Promise<void> {
  publishText("all", eventText(first, bytes), clients);
  if (turns === 2) await nextTurn();
  for (let client = 0; client < clients; client++) {
    publishText(`user:${client}`, eventText(first + 1, bytes), 1);
  }
}

/** Begins to measure the delay of the event loop. @returns A function that ends it. */
function watchLoop(): () => LoopDelay {
  const histogram = monitorEventLoopDelay({ resolution: 1 });
  histogram.enable();
  return () => {
    histogram.disable();
    const ms = (nanoseconds: number): number => nanoseconds / 1e6;
    return {
      p50: ms(histogram.percentile(50)),
      p99: ms(histogram.percentile(99)),
      max: ms(histogram.max),
    };
  };
}

/** Publishes one event every `everyMs`. @param dueAt - Gets the time when each was due. */
async function publishTimed(
  order: PublishOrder & { readonly everyMs: number },
  dueAt: number[],
): Promise<{ delay: LoopDelay; dueAt: number[] }> {
  const delay = watchLoop();
  const start = sharedNow();
  for (let done = 0; done < order.count; done++) {
    // The due time, not the time when a busy loop got to it: otherwise a busy loop would look faster.
    dueAt.push(start + done * order.everyMs);
    publishOne(order, order.first + done, 0);
    await wait(Math.max(0, start + (done + 1) * order.everyMs - sharedNow()));
  }
  return { delay: delay(), dueAt };
}

/** Prevents garbage of one measurement from counting in the next. */
async function collectGarbage(): Promise<void> {
  if (globalThis.gc === undefined) throw new Error("The server process needs --expose-gc");
  for (let times = 0; times < 2; times++) {
    await wait(50);
    globalThis.gc();
  }
}

serve<ServerProtocol>({
  async start({ subject: name, ...options }) {
    const { subject } = await CATALOGUE[name].load();
    running = await subject.start(options);
    return { port: running.port };
  },

  publish(order) {
    publishedAt.push(sharedNow());
    if (order.spread !== undefined) return void publishSpread(order);
    for (let done = 0; done < order.count; done++) publishOne(order, order.first + done, 0);
  },

  publishMixed(order) {
    publishedAt.push(sharedNow());
    void publishMixed(order);
  },

  async publishEvery(order) {
    return (await publishTimed(order, publishedAt)).delay;
  },

  publishTimed: (order) => publishTimed(order, []),

  async endRuns({ channel, count: runs }) {
    for (let index = 0; index < runs; index++) {
      void running?.publish(channel.replace("{index}", String(index)), "");
    }
  },

  async publishSteadily(order) {
    const { channels, everyMs, count: events, first } = order;
    const delay = watchLoop();
    const start = sharedNow();
    for (let event = 1; event <= events; event++) publishedAt.push(start + event * everyMs);
    for (let done = 0; done < events * channels;) {
      const due = Math.min(events * channels, ((sharedNow() - start) / everyMs) * channels);
      for (; done < due; done++) {
        publishOne(order, first + Math.floor(done / channels), done % channels);
      }
      await wait(1);
    }
    return delay();
  },

  async publishIds({ channel, first, count: events, bytes }) {
    const ids: string[] = [];
    for (let done = 0; done < events; done++) {
      const sent = await running?.publish(channel, eventText(first + done, bytes));
      ids.push(sent?.id ?? "");
    }
    return ids;
  },

  begin() {
    bodyBytes = 0;
    publishedAt = [];
    cpuAtBegin = process.cpuUsage();
  },

  async end() {
    while (unsettled.count > 0) await nextTurn();
    const { user, system } = process.cpuUsage(cpuAtBegin);
    return { cpuUs: user + system, bodyBytes, publishedAt };
  },

  async memory() {
    await collectGarbage();
    const { heapUsed, rss } = process.memoryUsage();
    return { heapBytes: heapUsed, rssBytes: rss };
  },
});
