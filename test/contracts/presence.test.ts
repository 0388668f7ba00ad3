/** The identities that are present on a channel, and the events that show them, on every framework. */

import { subscribe as listen, unsubscribe as unlisten } from "node:diagnostics_channel";
import type { HubOptions, Session } from "@tidewire/core";
import { faultyLog } from "@tidewire/testing";
import { afterEach, describe, expect, it } from "vitest";
import { eventually, request, within } from "../client.js";
import type { StreamClient } from "../client.js";
import { BINDINGS } from "./bindings.js";
import type { Handler, Served } from "./bindings.js";

const LINGER_MS = 150;
/** For those who come back before it is over, however slow the machine. */
const LONG: HubOptions = { presence: { lingerMs: 60_000 } };

const running: Served[] = [];
const clients: StreamClient[] = [];

afterEach(async () => {
  for (const client of clients.splice(0)) client.cut();
  for (const served of running.splice(0)) await within("the server to close", served.close());
});

/** The client's claim, for servers that believe it: the header `x-user`. */
function userOf(incoming: unknown): string | undefined {
  const user = (incoming as { headers: Record<string, unknown> }).headers["x-user"];
  return typeof user === "string" ? user : undefined;
}

async function open(
  served: Served,
  user: string | undefined,
  path: string,
  lastEventId?: string,
): Promise<StreamClient> {
  const headers = {
    accept: "text/event-stream",
    ...(user === undefined ? {} : { "x-user": user }),
    ...(lastEventId === undefined ? {} : { "last-event-id": lastEventId }),
  };
  const client = await request(served, path, { headers });
  clients.push(client);
  if (client.status === 200) await client.until("sse-cursor");
  return client;
}

/** Joins the channels that the path names: `/a,b`. */
const subscribe: Handler = async ({ sse, request: { url } }) => {
  await sse.subscribe((url ?? "/").slice(1).split(","));
};

/** The presence events of a stream, as `presence room ada,bob`. */
function seen(client: StreamClient): string[] {
  const found: string[] = [];
  for (const block of client.text.split("\n\n")) {
    const event = /^event: (presence.*)$/m.exec(block)?.[1];
    const data = /^data: (.*)$/m.exec(block)?.[1];
    if (event === undefined || data === undefined) continue;
    const { channel, identities } = JSON.parse(data) as { channel: string; identities: string[] };
    found.push(`${event} ${channel} ${identities.join()}`);
  }
  return found;
}

function lastIdOf(client: StreamClient): string {
  return [...client.text.matchAll(/^id: (.+)$/gm)].at(-1)?.[1] ?? "";
}

async function expectSeen(client: StreamClient, ...expected: string[]): Promise<void> {
  await eventually(
    `${JSON.stringify(expected)}, not ${JSON.stringify(seen(client))}`,
    () => seen(client).length >= expected.length,
  );
  expect(seen(client)).toEqual(expected);
}

const linger = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 3 * LINGER_MS));

describe.each(BINDINGS)("Presence on $name", (binding) => {
  async function serve(options: HubOptions = {}, handler: Handler = subscribe): Promise<Served> {
    const served = await binding.serve(handler, {
      identify: userOf,
      presence: { lingerMs: LINGER_MS },
      ...options,
    });
    running.push(served);
    return served;
  }

  it("begins with the state and shows who joins, and who leaves after a while", async () => {
    const served = await serve();
    const ada = await open(served, "ada", "/room");
    const watcher = await open(served, "bob", "/~presence:room");
    await expectSeen(watcher, "presence room ada");
    const cyd = await open(served, "cyd", "/room,~presence:room");
    await expectSeen(watcher, "presence room ada", "presence-join room cyd");
    await expectSeen(cyd, "presence room ada", "presence-join room cyd");
    const cutAt = performance.now();
    ada.cut();
    await expectSeen(
      watcher,
      "presence room ada",
      "presence-join room cyd",
      "presence-leave room ada",
    );
    expect(performance.now() - cutAt).toBeGreaterThan(LINGER_MS - 20);
    expect(await served.hub.presence("room")).toEqual(["cyd"]);
    // A watcher is not on the channel.
    expect(await served.hub.presence("other")).toEqual([]);
  });

  it("does not show reloads", async () => {
    const served = await serve(LONG);
    const watcher = await open(served, "bob", "/~presence:room");
    let ada = await open(served, "ada", "/room");
    for (let count = 0; count < 5; count++) {
      ada.cut();
      ada = await open(served, "ada", "/room");
    }
    await open(served, "cyd", "/room");
    await expectSeen(watcher, "presence room ", "presence-join room ada", "presence-join room cyd");
  });

  it("does not show more tabs", async () => {
    const served = await serve();
    const watcher = await open(served, "bob", "/~presence:room");
    await open(served, "ada", "/room");
    const second = await open(served, "ada", "/room");
    second.cut();
    await linger();
    await expectSeen(watcher, "presence room ", "presence-join room ada");
  });

  it("shows at once who unsubscribes, and not who comes back in the same turn", async () => {
    let session: Session | undefined;
    const served = await serve(LONG, async ({ sse, request: { url } }) => {
      if (url === "/room") session = sse;
      await sse.subscribe((url ?? "/").slice(1).split(","));
    });
    const watcher = await open(served, "bob", "/~presence:room");
    await open(served, "ada", "/room");
    session?.unsubscribe("room");
    void session?.subscribe("room");
    await served.hub.publish("room", "x");
    session?.unsubscribe("room");
    await expectSeen(
      watcher,
      "presence room ",
      "presence-join room ada",
      "presence-leave room ada",
    );
  });

  it("does not count clients without an identity", async () => {
    const served = await serve();
    const watcher = await open(served, undefined, "/~presence:room");
    const anonymous = await open(served, undefined, "/room");
    anonymous.cut();
    await open(served, "ada", "/room");
    await expectSeen(watcher, "presence room ", "presence-join room ada");
  });

  it("gives a client that resumes the state again, and nothing twice", async () => {
    const served = await serve(LONG);
    await open(served, "ada", "/room");
    const first = await open(served, "bob", "/room,~presence:room");
    await expectSeen(first, "presence room ada", "presence-join room bob");
    await served.hub.publish("room", "one");
    await first.until("data: one");
    first.cut();
    await open(served, "cyd", "/room");
    await served.hub.publish("room", "two");
    const second = await open(served, "bob", "/room,~presence:room", lastIdOf(first));
    await second.until("data: two");
    await served.hub.publish("room", "three");
    await second.until("data: three");
    expect(seen(second)).toEqual(["presence room ada,bob,cyd"]);
    expect(second.text).not.toContain("data: one");
    expect(second.text.match(/data: two/g)).toHaveLength(1);
    expect(second.text).not.toContain("sse-reset");
  });

  it("asks authorize about the channel, once", async () => {
    const asked: string[] = [];
    const served = await serve({
      authorize: (channel) => {
        asked.push(channel);
        return channel !== "secret";
      },
    });
    await open(served, "ada", "/room,~presence:room");
    const refused = await open(served, "ada", "/~presence:secret");
    expect(refused.status).toBe(403);
    expect(asked).toEqual(["room", "secret"]);
    expect(await served.hub.presence("secret")).toEqual([]);
  });

  it("asks authorizeAll about the channels", async () => {
    const asked: string[] = [];
    const served = await serve({
      authorizeAll: async (channels) => {
        asked.push(channels.join());
        return channels.map((channel) => channel !== "secret");
      },
    });
    await open(served, "ada", "/room,~presence:room,~presence:other");
    const refused = await open(served, "ada", "/room,~presence:secret");
    expect(refused.status).toBe(403);
    expect(asked).toEqual(["room,other", "room,secret"]);
  });

  it("is an error without the option, and for a channel that it leaves out", async () => {
    const codes: unknown[] = [];
    const handler: Handler = async ({ sse, answer }) => {
      try {
        await sse.subscribe("~presence:room");
      } catch (error) {
        codes.push((error as { code?: unknown }).code);
        answer(400, {});
      }
    };
    for (const presence of [false, { channels: (name: string) => name !== "room" }] as const) {
      const served = await serve({ presence }, handler);
      const client = await open(served, "ada", "/");
      expect(client.status).toBe(400);
      expect(() => served.hub.presence("room")).toThrow(
        expect.objectContaining({ code: "ERR_SSE_INVALID_OPTION" }) as Error,
      );
    }
    expect(codes).toEqual(["ERR_SSE_INVALID_OPTION", "ERR_SSE_INVALID_OPTION"]);
  });

  it("ends a stream that watches a channel from which its identity is disconnected", async () => {
    const served = await serve();
    const watcher = await open(served, "bob", "/~presence:room");
    const other = await open(served, "bob", "/~presence:other");
    await served.hub.disconnect({ identity: "bob", channel: "room", final: true });
    await watcher.rest();
    expect(other.isEnded).toBe(false);
    const barred = await open(served, "bob", "/~presence:room", lastIdOf(other));
    expect(barred.status).toBe(204);
  });

  it("keeps an identity whose oldest stream is replaced", async () => {
    const served = await serve({ maxSessionsPerIdentity: { max: 1, excess: "closeOldest" } });
    const watcher = await open(served, "bob", "/~presence:room");
    const first = await open(served, "ada", "/room");
    await open(served, "ada", "/room");
    await first.rest();
    await linger();
    await expectSeen(watcher, "presence room ", "presence-join room ada");
  });

  it("shows its state again after a reset, without channels left since", async () => {
    const log = faultyLog();
    let session: Session | undefined;
    const served = await serve({ log }, async ({ sse, request: { url } }) => {
      session ??= sse;
      await sse.subscribe((url ?? "/").slice(1).split(","));
    });
    // A log that others may share: the hub waits for them.
    await served.hub.presence("room");
    const watcher = await open(served, "bob", "/~presence:room,~presence:other");
    await open(served, "ada", "/room");
    await expectSeen(watcher, "presence room ", "presence other ", "presence-join room ada");
    session?.unsubscribe("~presence:other");
    await log.fork();
    await watcher.until("sse-reset");
    await eventually("the state", () => seen(watcher).length > 3);
    expect(seen(watcher).slice(3)).toEqual(["presence room ada"]);
  });

  it("counts a stream once that subscribes while it opens", async () => {
    const onOpen = (message: unknown): void => {
      const { session } = message as { session: Session };
      if (session.identity === "ada") void session.subscribe("other");
    };
    const served = await serve();
    const watcher = await open(served, "bob", "/~presence:other");
    listen("tidewire.session.open", onOpen);
    const ada = await open(served, "ada", "/room");
    unlisten("tidewire.session.open", onOpen);
    ada.cut();
    await expectSeen(
      watcher,
      "presence other ",
      "presence-join other ada",
      "presence-leave other ada",
    );
  });

  it("does not lose an identity when another of its streams closes before it opens", async () => {
    const waiting: (() => void)[] = [];
    let last: Session | undefined;
    const served = await serve(
      {
        cors: {
          origin: (_origin, callback) => {
            waiting.push(() => callback(null, true));
          },
        },
      },
      async ({ sse }) => {
        last = sse;
        await sse.subscribe("room");
      },
    );
    const headers = { accept: "text/event-stream", "x-user": "ada", origin: "http://page" };
    const first = request(served, "/", { headers });
    await eventually("the first to wait", () => waiting.length === 1);
    waiting[0]?.();
    clients.push(await first);
    const second = request(served, "/", { headers });
    await eventually("the second to wait", () => waiting.length === 2);
    last?.close();
    waiting[1]?.();
    clients.push(await second);
    await linger();
    expect(await served.hub.presence("room")).toEqual(["ada"]);
  });

  it("of a thousand channels of one stream joins and leaves", async () => {
    const names = Array.from({ length: 1_000 }, (_, index) => `room-${index}`);
    const served = await serve({}, async ({ sse }) => {
      await sse.subscribe(names);
    });
    const client = await open(served, "ada", "/");
    const count = async (): Promise<number> => {
      const all = await Promise.all(names.map((name) => served.hub.presence(name)));
      return all.flat().length;
    };
    expect(await count()).toBe(1_000);
    client.cut();
    await within(
      "all to leave",
      (async () => {
        while ((await count()) > 0) await linger();
      })(),
    );
  });
});
