import * as fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { BINDINGS } from "./bindings.js";
import { IS_DIRECT, StreamServer } from "./direct-streams.js";
import type { Pair } from "./direct-streams.js";
import { LAST_CHUNK } from "./raw-capture.js";
import { recordWrites } from "./recorded-writes.js";

/** Each run opens two streams. */
const RUNS = Math.ceil(Number(process.env["FAST_CHECK_RUNS"] ?? 2_000) / 100);
const TIMEOUT_MS = Math.max(60_000, RUNS * 1_000);

const CHANNELS = ["a", "b", "c"];

/** An action in one turn. */
type Step =
  | { readonly what: "publish"; readonly events: readonly (readonly [string, string])[] }
  | { readonly what: "send" | "comment"; readonly text: string };

/** Text of up to about this many bytes. */
function text(maxBytes: number): fc.Arbitrary<string> {
  return fc
    .tuple(
      fc.constantFrom("x", "é", "\u{1F600}", "ab\n", "data: \n\n"),
      fc.oneof(fc.nat(20), fc.nat(maxBytes)),
    )
    .map(([unit, bytes]) => unit.repeat(bytes / Buffer.byteLength(unit)));
}

const event = (maxBytes: number): fc.Arbitrary<readonly [string, string]> =>
  fc.tuple(fc.constantFrom(...CHANNELS), text(maxBytes));

function publish(maxBytes: number, maxLength: number): fc.Arbitrary<Step> {
  return fc
    .array(event(maxBytes), { minLength: 1, maxLength })
    .map((events) => ({ what: "publish" as const, events }));
}

const toEach = (maxBytes: number): fc.Arbitrary<Step> =>
  fc.record({ what: fc.constantFrom("send", "comment"), text: text(maxBytes) });

/** Small enough for a single write to each stream. */
const oneWrite = fc.oneof(publish(200_000, 1), publish(1_000, 8), toEach(200_000));

describe.each(BINDINGS.filter(({ protocol }) => protocol === "http1"))("$name", (binding) => {
  let server: StreamServer;

  beforeAll(async () => {
    server = await StreamServer.start(binding, { channels: CHANNELS });
  });

  afterAll(() => server.close());

  it("writes shared events in one piece, equal to the chunk that Node would make", async () => {
    const { direct, ordinary } = await server.openPair();
    const pieces = [direct, ordinary].map(({ socket }) => recordWrites(socket));
    const before = ordinary.ordinaryWrites;
    await server.hub.publish("a", { data: "shared" });
    await server.untilBoth({ direct, ordinary }, "data: shared\n\n");
    const sent = pieces.map((list) => Buffer.concat(list).toString());
    expect(sent[0]).toMatch(/^[0-9a-f]+\r\nid: \S+\ndata: shared\n\n\r\n$/);
    expect(sent[1]).toBe(sent[0]);
    expect(pieces[0]!.length === 1).toBe(IS_DIRECT);
    expect(pieces[1]!.length).toBeGreaterThan(1);
    expect(ordinary.ordinaryWrites - before).toBe(1);
    leave({ direct, ordinary });
  });

  it("writes messages for one session through the response", async () => {
    const { client, session, socket } = await server.open();
    const pieces = recordWrites(socket);
    await session.send("mine");
    await client.untilBody("data: mine\n\n");
    expect(pieces.length).toBeGreaterThan(1);
    client.socket.destroy();
  });

  it(
    "sends the same bytes, chunk by chunk, if there is one write per turn",
    async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(oneWrite, { maxLength: 12 }), async (steps) => {
          const pair = await server.openPair();
          for (const step of steps) {
            await take(pair, step);
            await server.settle([pair.direct, pair.ordinary]);
          }
          const [direct, ordinary] = await finish(pair);
          expect(direct.raw.equals(ordinary.raw)).toBe(true);
          expect(direct.sizes).toEqual(ordinary.sizes);
        }),
        { numRuns: RUNS },
      );
    },
    TIMEOUT_MS,
  );

  it(
    "sends the same body, in valid chunks, whatever is published in a turn and however much",
    async () => {
      const bursts = fc.array(fc.array(publish(200_000, 6), { maxLength: 3 }), { maxLength: 4 });
      await fc.assert(
        fc.asyncProperty(bursts, async (turns) => {
          const pair = await server.openPair();
          for (const steps of turns) await Promise.all(steps.map((step) => take(pair, step)));
          await server.settle([pair.direct, pair.ordinary]);
          await expectSameBodies(pair);
        }),
        { numRuns: RUNS },
      );
    },
    TIMEOUT_MS,
  );

  it(
    "sends the same body if events, messages and comments of a few bytes share a turn",
    async () => {
      const mixed = fc.array(fc.oneof(publish(100, 3), toEach(100)), { maxLength: 8 });
      await fc.assert(
        fc.asyncProperty(fc.array(mixed, { maxLength: 6 }), async (turns) => {
          const pair = await server.openPair();
          for (const steps of turns) {
            await Promise.all(steps.map((step) => take(pair, step)));
            await server.settle([pair.direct, pair.ordinary]);
          }
          await expectSameBodies(pair);
        }),
        { numRuns: RUNS },
      );
    },
    TIMEOUT_MS,
  );

  async function take({ direct, ordinary }: Pair, step: Step): Promise<void> {
    if (step.what === "publish") {
      await Promise.all(
        step.events.map(async ([channel, data]) => server.hub.publish(channel, { data })),
      );
      return;
    }
    await Promise.all(
      [direct, ordinary].map(async ({ session }) =>
        step.what === "send" ? session.send(step.text) : session.comment(step.text),
      ),
    );
  }

  async function expectSameBodies(pair: Pair): Promise<void> {
    const [direct, ordinary] = await finish(pair);
    // Without an assertion message, which could be megabytes long.
    expect(direct.body.equals(ordinary.body)).toBe(true);
  }

  /** Ends both streams and returns the complete bodies. */
  async function finish(pair: Pair) {
    expect(pair.ordinary.ordinaryWrites).toBeGreaterThan(0);
    for (const { session } of [pair.direct, pair.ordinary]) session.close();
    const responses = [];
    for (const { client } of [pair.direct, pair.ordinary]) {
      await client.until("the end", () => client.endsWith(LAST_CHUNK));
      responses.push(client.response());
    }
    leave(pair);
    const [direct, ordinary] = responses;
    expect([direct!.isEnded, ordinary!.isEnded]).toEqual([true, true]);
    return [direct!, ordinary!] as const;
  }

  function leave({ direct, ordinary }: Pair): void {
    for (const { client } of [direct, ordinary]) client.socket.destroy();
  }
});
