/** Callbacks run in the async context of the request that they belong to, whatever triggers them. */

import { AsyncLocalStorage } from "node:async_hooks";
import { memoryLog } from "@tidewire/core";
import type { Log, Session } from "@tidewire/core";
import type { LogFollower } from "@tidewire/core/log";
import { expect, it } from "vitest";
import { eventually, request } from "../client.js";
import { BINDINGS } from "../contracts/bindings.js";
import { EventClient } from "./event-client.js";
import { serve, turns } from "./served.js";

const tenant = new AsyncLocalStorage<string>();
const FRAMEWORKS = BINDINGS.filter(({ name }) => /^(node:http|Express 5|Fastify 5)$/.test(name));
const A = "tenant A";
const B = "tenant B";

/** The result of a query builder: the query runs when `then` is called. */
function queryOf<Result>(run: () => Result): PromiseLike<Result> {
  return {
    // oxlint-disable-next-line unicorn/no-thenable -- query builders are thenables
    then: (resolve, reject) => new Promise<Result>((done) => done(run())).then(resolve, reject),
  };
}

it.each<[string, (give: () => string[]) => string[] | PromiseLike<string[]>]>([
  ["that is available at once", (give) => give()],
  ["that is a library's query, run when it is awaited", queryOf],
])(
  "a snapshot %s runs in its request's context after an overflow and after a fork of the log",
  async (_kind, kind) => {
    const inner = memoryLog();
    let follower: LogFollower | undefined;
    const log: Log = {
      start: (given) => inner.start((follower = given)),
      append: (...args) => inner.append(...args),
      compare: (a, b) => inner.compare(a, b),
      health: () => inner.health(),
      close: () => inner.close(),
    };
    const seen: unknown[] = [];
    const { hub, port } = await serve(
      ({ sse }) => {
        const give = (): string[] => [`state of ${String(seen[seen.push(tenant.getStore()) - 1])}`];
        tenant.run(A, () => void sse.subscribe("t", { snapshot: () => kind(give) }));
      },
      { log, heartbeatMs: false, retention: { maxEvents: 5 } },
    );
    const client = new EventClient(port, "/");
    client.connect();
    await eventually("its position", () => client.cursors === 1);
    await tenant.run(B, async () => {
      for (let i = 0; i < 50; i++) void hub.publish("t", "x".repeat(20_000));
      await turns();
    });
    await eventually("the overflow", () => client.cursors === 2);
    tenant.run(B, () => follower?.reset("fork", "fork.1"));
    await eventually("the fork", () => client.cursors === 3);
    expect(client.resets.map(({ reason }) => reason)).toEqual(["overflow", "fork"]);
    expect(seen).toEqual([A, A, A]);
  },
);

it("the snapshot of a later call runs in its request's context even if another request publishes in that turn", async () => {
  const seen: unknown[] = [];
  const { hub, port } = await serve(
    ({ sse }) => {
      tenant.run(B, () => void hub.publish("t", "of B"));
      tenant.run(A, () => {
        void sse.subscribe("t");
        void sse.subscribe("u", { snapshot: () => [String(seen.push(tenant.getStore()))] });
      });
    },
    { heartbeatMs: false },
  );
  const { id } = await hub.publish("t", "first");
  // A live client, which makes delivery take a turn.
  const other = new EventClient(port, "/");
  other.connect();
  await eventually("the live one", () => other.cursors === 1);
  seen.length = 0;
  const client = new EventClient(port, "/");
  client.lastEventId = id;
  client.connect();
  await eventually("the state", () => seen.length === 1);
  expect(seen).toEqual([A]);
});

it.each(FRAMEWORKS)(
  "$name: every callback of a session runs in its request's context",
  async (binding) => {
    const seen: Record<string, unknown[]> = {};
    const note = (what: string): void => void (seen[what] ??= []).push(tenant.getStore());
    let session: Session | undefined;
    const data = (what: string): { toJSON(): string } => ({
      toJSON: () => {
        note(what);
        return what;
      },
    });
    const { hub, port, protocol } = await serve(
      ({ sse, request: { url } }) =>
        tenant.run(url === "/" ? A : B, async () => {
          if (url !== "/") return void sse.open();
          session = sse;
          sse.signal.addEventListener("abort", () => note("signal"));
          sse.onClose(() => note("onClose"));
          await sse.subscribe("t", {
            snapshot: () =>
              turns().then(() => {
                note("snapshot");
                return [{ data: data("snapshot data") }];
              }),
          });
          await sse.send({ data: data("send data") });
          await sse.stream([1, 2], (item) => {
            note("map");
            return { data: item };
          });
        }),
      {
        heartbeatMs: false,
        // Enough for all before the end, also on a busy machine.
        maxStreamMs: 3_000,
        authorize: () => {
          note("authorize");
          return turns().then(() => true);
        },
      },
      binding,
    );
    // The hub's first stream has started the shared timer.
    const first = await request({ port, protocol }, "/first");
    const client = await tenant.run(B, () => request({ port, protocol }, "/"));
    await client.until("data: 2\n");
    await tenant.run(B, () => hub.publish("t", { data: data("publish data") }));
    // Ended by the shared timer.
    await client.rest();
    expect(session?.state).toBe("closed");
    expect(seen).toEqual({
      authorize: [A],
      snapshot: [A],
      "snapshot data": [A],
      "send data": [A],
      map: [A, A],
      "publish data": [B],
      signal: [A],
      onClose: [A],
    });
    client.release();
    first.cut();
  },
);
