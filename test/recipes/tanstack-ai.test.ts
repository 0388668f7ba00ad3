import { ChatClient, fetchServerSentEvents } from "@tanstack/ai-client";
import { afterEach, expect, test } from "vitest";
import { RedisProxy } from "../redis/proxy.js";
import { crash, startRecipe } from "./start-recipe.js";
import type { Recipe } from "./start-recipe.js";

let proxy: RedisProxy | undefined;
const clients: ChatClient[] = [];
afterEach(async () => {
  for (const client of clients.splice(0)) client.dispose();
  await proxy?.close();
});

/** A page of the thread that has just been opened. */
class Page {
  runId: string | null = null;
  readonly errors: Error[] = [];
  readonly client: ChatClient;

  constructor(port: number) {
    this.client = new ChatClient({
      threadId: "thread-1",
      persistence: true,
      connection: fetchServerSentEvents(`http://127.0.0.1:${port}/chat`, {
        reconnect: { maxAttempts: 100 },
      }),
      onRunIdChange: (runId) => (this.runId = runId ?? this.runId),
      onError: (error) => this.errors.push(error),
    });
    clients.push(this.client);
    this.client.attach();
  }

  /** Everything that the page shows. */
  get text(): string {
    return this.client
      .getMessages()
      .flatMap(({ parts }) => parts.map((part) => (part.type === "text" ? part.content : "")))
      .join(" | ");
  }
}

const WHOLE = "What is a tide? | A tide rises and falls twice a day.";

/** Waits until a page shows a part of the answer, or all of it. */
async function waitFor(page: Page, text: string): Promise<void> {
  await expect.poll(() => page.text, { timeout: 20_000 }).toContain(text);
}

function portOf({ origin }: Recipe): number {
  return Number(new URL(origin).port);
}

test("an answer goes on through a cut and a reload", { timeout: 60_000 }, async () => {
  const recipe = await startRecipe("tanstack-ai", { WORD_MS: "500" });
  proxy = await RedisProxy.start(portOf(recipe));
  const page = new Page(proxy.port);
  const sent = page.client.sendMessage("What is a tide?");
  await waitFor(page, "| A tide ");
  proxy.shut();
  proxy.open();
  await waitFor(page, "| A tide rises ");

  // The answer ends while the first page is away.
  proxy.shut();
  const reloaded = new Page(portOf(recipe));
  await waitFor(reloaded, WHOLE);
  proxy.open();
  await sent;
  const later = new Page(portOf(recipe));
  await waitFor(later, WHOLE);
  for (const { text, errors } of [page, reloaded, later]) {
    expect(text).toBe(WHOLE);
    expect(errors).toEqual([]);
  }
});

test("an answer is stopped for every page", { timeout: 60_000 }, async () => {
  const recipe = await startRecipe("tanstack-ai", { WORD_MS: "1000" });
  const page = new Page(portOf(recipe));
  const sent = page.client.sendMessage("What is a tide?");
  await waitFor(page, "| A ");
  const second = new Page(portOf(recipe));
  await waitFor(second, "| A ");
  await recipe.ask("DELETE", `/chat/${page.runId}`);
  await sent;
  await expect.poll(() => second.errors.length, { timeout: 10_000 }).toBe(1);
  for (const { text, errors } of [page, second]) {
    expect(errors.map(({ message }) => message)).toEqual(["The answer is stopped"]);
    expect(text).toBe(page.text);
    expect(text).not.toBe(WHOLE);
  }
});

test("a page learns that its answer was lost with the process", { timeout: 60_000 }, async () => {
  const recipe = await startRecipe("tanstack-ai", { WORD_MS: "500" });
  const page = new Page(portOf(recipe));
  const sent = page.client.sendMessage("What is a tide?");
  await waitFor(page, "| A ");
  await crash(recipe);
  await startRecipe("tanstack-ai", {}, portOf(recipe));
  await sent;
  const messages = page.errors.map(({ message }) => message);
  expect(messages).toEqual(["HTTP error! status: 404 Not Found"]);
});
