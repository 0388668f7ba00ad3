import { redisTapes } from "@tidewire/redis";
import type { Tapes } from "@tidewire/runs";
import { afterEach, describe, expect, it } from "vitest";
import { within } from "../client.js";
import { begin, endOf, items, itemsOf, openTape, tapesContract } from "../contracts/tapes.js";
import { RedisProxy } from "./proxy.js";
import { describeWithRedis, useRedis } from "./redis-server.js";

describeWithRedis("Tapes on Redis", () => {
  const redis = useRedis("suite");

  tapesContract({
    name: "redisTapes()",
    // A node that leaves does not wait for the reply.
    presenceMs: 50,
    async open() {
      const server = await redis();
      await server.command("FLUSHALL");
      const make = () => redisTapes({ url: server.url });
      return { tapes: make(), other: make };
    },
  });

  it("a store that closes leaves no notice to its node, however close the end of its last run is", async () => {
    const server = await redis();
    await server.command("FLUSHALL");
    const producer = redisTapes({ url: server.url });
    for (let round = 0; round < 50; round++) {
      const follower = redisTapes({ url: server.url });
      const { writer } = await begin(producer, `run ${round}`);
      const reader = await openTape(follower, `run ${round}`);
      // Each leaves a notice. The follower may see the end as soon as it takes the first one.
      await writer.append(items(1));
      await Promise.all([writer.end({ outcome: "done" }), endOf(reader)]);
      await follower.close();
    }
    await producer.close();
    const keys = (await server.command("KEYS", "*")) as string[];
    expect(keys.filter((key) => key.includes(":node:"))).toEqual([]);
  });

  describe("A reply that is lost", () => {
    const closers: (() => Promise<void>)[] = [];

    afterEach(async () => {
      for (const close of closers.splice(0).toReversed()) await close();
    });

    /** A store whose replies can be lost, and another one on the same Redis. */
    async function openStores(): Promise<{ proxy: RedisProxy; tapes: Tapes; other: Tapes }> {
      const server = await redis();
      await server.command("FLUSHALL");
      const proxy = await RedisProxy.start(server.port);
      closers.push(() => proxy.close());
      const [tapes, other] = [proxy.url, server.url].map((url) => {
        const opened = redisTapes({ url, onError: () => {} });
        closers.push(() => opened.close());
        return opened;
      }) as [Tapes, Tapes];
      return { proxy, tapes, other };
    }

    it("of the beginning of a run: there is one run, and this process produces it", async () => {
      const { proxy, tapes, other } = await openStores();
      const cut = proxy.cutReplyTo("EVAL", /ok/);
      const { writer } = await begin(tapes, "a");
      await within("the cut", cut);
      await writer.append(items(1));
      expect(await other.state("a")).toMatchObject({ runId: writer.runId, items: 1 });
    });

    it("of items: each is on the tape once", async () => {
      const { proxy, tapes, other } = await openStores();
      const { writer } = await begin(tapes, "a");
      await writer.append(items(3));
      const cut = proxy.cutReplyTo("EVAL", /ok/);
      await writer.append(items(5, 4));
      await within("the cut", cut);
      await writer.append(items(2, 9));
      const reader = await openTape(other, "a");
      expect(await itemsOf(reader, 10)).toEqual(items(10));
      reader.close();
    });

    it("of an end: the run ends once, with the same outcome", async () => {
      const { proxy, tapes, other } = await openStores();
      const { writer, cancels } = await begin(tapes, "a");
      await writer.append(items(3));
      const reader = await openTape(other, "a");
      const cut = proxy.cutReplyTo("EVAL", /done/);
      await writer.end({ outcome: "done" });
      await within("the cut", cut);
      expect(await endOf(reader)).toEqual({ outcome: "done" });
      expect(await itemsOf(reader, 3)).toEqual(items(3));
      expect(cancels).toEqual([]);
      reader.close();
    });

    it("of a stop: it was this call that stopped the run", async () => {
      const { proxy, tapes, other } = await openStores();
      await begin(other, "a");
      expect(await tapes.stop("b")).toBe(false);
      const cut = proxy.cutReplyTo("EVAL", /:1/);
      expect(await tapes.stop("a")).toBe(true);
      await within("the cut", cut);
      expect(await tapes.stop("a")).toBe(false);
    });
  });
});
