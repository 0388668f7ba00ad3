import { createTRPCClient, httpLink, httpSubscriptionLink, splitLink } from "@trpc/client";
import { EventSource } from "eventsource";
import { afterEach, expect, test } from "vitest";
import type { AppRouter } from "../../examples/recipes/trpc.js";
import { RedisProxy } from "../redis/proxy.js";
import { crash, startRecipe } from "./start-recipe.js";
import type { Recipe } from "./start-recipe.js";

let proxy: RedisProxy;
let subscription: { unsubscribe(): void } | undefined;
afterEach(async () => {
  subscription?.unsubscribe();
  await proxy.close();
});

function connect(port: number) {
  const url = `http://127.0.0.1:${port}/trpc`;
  return createTRPCClient<AppRouter>({
    links: [
      splitLink({
        condition: ({ type }) => type === "subscription",
        true: httpSubscriptionLink({ url, EventSource }),
        false: httpLink({ url }),
      }),
    ],
  });
}

type Client = ReturnType<typeof connect>;

/** Items of a subscription: the title, or the type of an item without one. */
class Received {
  readonly items: string[] = [];
  readonly ends: unknown[] = [];
  lastEventId: string | undefined;

  subscribe({ news }: Client, lastEventId?: string): void {
    subscription = news.subscribe(lastEventId === undefined ? undefined : { lastEventId }, {
      onData: ({ id, data }) => {
        this.lastEventId = id;
        this.items.push("title" in data ? data.title : data.type);
      },
      onComplete: () => this.ends.push("complete"),
      onError: (error) => this.ends.push(error),
    });
  }
}

async function waitFor({ items }: Received, ...expected: string[]): Promise<void> {
  await expect.poll(() => items, { timeout: 10_000 }).toEqual(expected);
}

async function start(): Promise<{ recipe: Recipe; port: number; direct: Client }> {
  const recipe = await startRecipe("trpc");
  const port = Number(new URL(recipe.origin).port);
  proxy = await RedisProxy.start(port);
  return { recipe, port, direct: connect(port) };
}

test(
  "a subscription that is cut gets what it missed, and after a crash a reset",
  { timeout: 60_000 },
  async () => {
    const { recipe, port, direct } = await start();
    const received = new Received();
    received.subscribe(connect(proxy.port));
    await waitFor(received, "start");

    // It has received no event yet.
    proxy.shut();
    await direct.publish.mutate({ title: "High water" });
    await direct.publish.mutate({ title: "Low water" });
    proxy.open();
    await waitFor(received, "start", "High water", "Low water");

    proxy.shut();
    await direct.publish.mutate({ title: "Fog" });
    proxy.open();
    await waitFor(received, "start", "High water", "Low water", "Fog");

    // The log was in memory.
    await crash(recipe);
    await startRecipe("trpc", {}, port);
    await waitFor(received, "start", "High water", "Low water", "Fog", "reset");
    await direct.publish.mutate({ title: "Ebb" });
    await waitFor(received, "start", "High water", "Low water", "Fog", "reset", "Ebb");
    expect(received.ends).toEqual([]);
  },
);

test(
  "a page that was reloaded goes on where it was, and an orderly end of the server is no end of the subscription",
  { timeout: 60_000 },
  async () => {
    const { recipe, port, direct } = await start();
    const before = new Received();
    before.subscribe(connect(port));
    await waitFor(before, "start");
    await direct.publish.mutate({ title: "High water" });
    await waitFor(before, "start", "High water");
    subscription?.unsubscribe();
    await direct.publish.mutate({ title: "Low water" });

    const after = new Received();
    after.subscribe(connect(port), before.lastEventId);
    await waitFor(after, "Low water");

    await recipe.program.terminate();
    await startRecipe("trpc", {}, port);
    await waitFor(after, "Low water", "reset");
    expect(after.ends).toEqual([]);
  },
);
