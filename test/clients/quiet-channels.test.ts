import EventSource2 from "eventsource2";
import { EventSource as EventSource3 } from "eventsource3";
import { EventSource as EventSource4 } from "eventsource4";
import { EventSource as EventSource5 } from "eventsource5";
import { afterEach, describe, expect, test } from "vitest";
import { eventually } from "../client.js";
import { RETENTION, publishBusily } from "../browser/quiet-channel.js";
import { SERVERS } from "../browser/servers.js";
import type { TestServer } from "../browser/servers.js";

interface Message {
  readonly type: string;
  readonly data: string;
  readonly lastEventId: string;
}

/** The part of `EventSource` that all versions have. */
interface Source {
  onmessage: ((event: Message) => void) | null;
  addEventListener(type: string, listener: (event: Message) => void): void;
  close(): void;
}

type OpenSource = (url: string) => Source;

const CLIENTS: readonly (readonly [version: number, open: OpenSource])[] = [
  [2, (url) => new EventSource2(url) as unknown as Source],
  [3, (url) => new EventSource3(url) as Source],
  [4, (url) => new EventSource4(url) as Source],
  [5, (url) => new EventSource5(url) as Source],
];

/** Data that a client has received, by listener. */
class Received {
  /** Received by `onmessage`. */
  readonly messages: Message[] = [];
  readonly cursors: Message[] = [];
  readonly resets: Message[] = [];

  constructor(source: Source) {
    // Tidewire's own events must not reach this listener.
    // oxlint-disable-next-line unicorn/prefer-add-event-listener -- The test is about this property.
    source.onmessage = (event) => this.messages.push(event);
    source.addEventListener("sse-cursor", (event) => this.cursors.push(event));
    source.addEventListener("sse-reset", (event) => this.resets.push(event));
  }

  get data(): string[] {
    return this.messages.map(({ data }) => data);
  }
}

const cleanups: (() => Promise<unknown> | void)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

describe.each(CLIENTS)("the package eventsource, version %i", (_version, openSource) => {
  describe.each(SERVERS)("from %s", (_name, start) => {
    const open = async (): Promise<{ server: TestServer; received: Received }> => {
      const server = await start({
        hub: { reconnectionTimeMs: 100, heartbeatMs: 1_000, retention: { maxEvents: RETENTION } },
        onStream: (session) => void session.subscribe("quiet"),
      });
      cleanups.push(() => server.close());
      const source = openSource(`${server.origin}/events`);
      cleanups.push(() => source.close());
      const received = new Received(source);
      await eventually("the first position", () => received.cursors.length > 0);
      return { server, received };
    };

    test("has no false reset on a channel that was quiet while others were busy", async () => {
      const { server, received } = await open();
      const last = await publishBusily(server.hub);
      await eventually("the last position", () => received.cursors.at(-1)?.lastEventId === last);
      server.cut();
      await server.hub.publish("quiet", "worth the wait");
      await eventually("the event", () => received.messages.length > 0);
      expect(received.data).toEqual(["worth the wait"]);
      expect(received.resets).toEqual([]);
      expect(server.requests.at(-1)?.headers["last-event-id"]).toBe(last);
    });

    test("loses nothing before its first event", async () => {
      const { server, received } = await open();
      server.cut();
      await server.hub.publish("quiet", "first");
      await server.hub.publish("quiet", "second");
      await eventually("both events", () => received.messages.length > 1);
      expect(received.data).toEqual(["first", "second"]);
      expect(received.resets).toEqual([]);
    });

    test("gets one reset for events that are no longer retained", async () => {
      const { server, received } = await open();
      server.cut();
      for (let n = 0; n < 3 * RETENTION; n++) await server.hub.publish("quiet", `missed ${n}`);
      await eventually("the reset", () => received.resets.length > 0);
      await server.hub.publish("quiet", "live again");
      await eventually("the event", () => received.messages.length > 0);
      expect(received.data).toEqual(["live again"]);
      expect(received.resets.map(({ data }) => JSON.parse(data) as unknown)).toEqual([
        { reason: "trimmed", channels: ["quiet"] },
      ]);
    });
  });
});
