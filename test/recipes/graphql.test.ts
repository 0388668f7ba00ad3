import { createClient } from "graphql-sse";
import { afterEach, expect, test } from "vitest";
import { RedisProxy } from "../redis/proxy.js";
import { crash, startRecipe } from "./start-recipe.js";
import type { Recipe } from "./start-recipe.js";

interface News {
  readonly titles: readonly string[];
  readonly position: string;
}

interface Change {
  readonly position: string;
  readonly title: string | null;
}

let proxy: RedisProxy;
let stop: (() => void) | undefined;
afterEach(async () => {
  stop?.();
  await proxy.close();
});

async function query<Data>({ ask }: Recipe, text: string, variables = {}): Promise<Data> {
  const answer = await ask("POST", "/graphql", { query: text, variables });
  return (JSON.parse(answer.text) as { data: Data }).data;
}

async function publish(recipe: Recipe, title: string): Promise<void> {
  await query(recipe, "mutation ($title: String!) { publish(title: $title) }", { title });
}

/** Follows the news as a page would: the state, then changes; the state again after a reset. */
class Follower {
  readonly seen: unknown[] = [];
  readonly ends: unknown[] = [];

  follow(port: number, { titles, position }: News): void {
    this.seen.push(titles);
    const client = createClient({
      url: `http://127.0.0.1:${port}/graphql`,
      retryAttempts: Infinity,
      retry: () => new Promise((resolve) => setTimeout(resolve, 100)),
    });
    // The client sends the request as it is at the time, also when it tries again.
    const variables = { after: position };
    stop = client.subscribe<{ news: Change }>(
      { query: "subscription ($after: ID!) { news(after: $after) { position title } }", variables },
      {
        next: ({ data }) => {
          if (data?.news === undefined) return;
          variables.after = data.news.position;
          this.seen.push(data.news.title);
        },
        error: (error) => this.ends.push(error),
        complete: () => this.ends.push("complete"),
      },
    );
  }
}

async function waitFor({ seen }: Follower, ...expected: unknown[]): Promise<void> {
  await expect.poll(() => seen, { timeout: 10_000 }).toEqual(expected);
}

const NEWS = "{ news { titles position } }";

test(
  "a subscription goes on behind the query, through cuts, and learns of a restart",
  { timeout: 60_000 },
  async () => {
    let recipe = await startRecipe("graphql");
    const port = Number(new URL(recipe.origin).port);
    proxy = await RedisProxy.start(port);
    await publish(recipe, "High water");
    const { news } = await query<{ news: News }>(recipe, NEWS);
    // Published between the query and the subscription.
    await publish(recipe, "Low water");
    const follower = new Follower();
    follower.follow(proxy.port, news);
    await waitFor(follower, ["High water"], "Low water");

    proxy.shut();
    await publish(recipe, "Fog");
    await publish(recipe, "Ebb");
    proxy.open();
    await waitFor(follower, ["High water"], "Low water", "Fog", "Ebb");

    await crash(recipe);
    recipe = await startRecipe("graphql", {}, port);
    await waitFor(follower, ["High water"], "Low water", "Fog", "Ebb", null);

    await recipe.program.terminate();
    recipe = await startRecipe("graphql", {}, port);
    await waitFor(follower, ["High water"], "Low water", "Fog", "Ebb", null, null);
    await publish(recipe, "Flood");
    await waitFor(follower, ["High water"], "Low water", "Fog", "Ebb", null, null, "Flood");
    expect(follower.ends).toEqual([]);
  },
);

test(
  "a page that was reloaded gets the state with the changes in it",
  { timeout: 60_000 },
  async () => {
    const recipe = await startRecipe("graphql");
    const port = Number(new URL(recipe.origin).port);
    proxy = await RedisProxy.start(port);
    const before = new Follower();
    before.follow(port, (await query<{ news: News }>(recipe, NEWS)).news);
    await publish(recipe, "High water");
    await waitFor(before, [], "High water");
    stop?.();
    await publish(recipe, "Low water");

    const after = new Follower();
    after.follow(port, (await query<{ news: News }>(recipe, NEWS)).news);
    await publish(recipe, "Fog");
    await waitFor(after, ["High water", "Low water"], "Fog");
    expect(after.ends).toEqual([]);
  },
);
