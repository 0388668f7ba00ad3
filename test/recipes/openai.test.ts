import OpenAI from "openai";
import { afterEach, expect, test } from "vitest";
import { RedisProxy } from "../redis/proxy.js";
import { startRecipe } from "./start-recipe.js";
import type { Recipe } from "./start-recipe.js";

const ANSWER = "A tide rises and falls twice a day.";
const REQUEST = { model: "tides", input: "What is a tide?", stream: true } as const;

type Events = AsyncIterable<OpenAI.Responses.ResponseStreamEvent>;

let proxy: RedisProxy | undefined;
afterEach(() => proxy?.close());

function connect(port: number | string): OpenAI {
  return new OpenAI({ apiKey: "none", baseURL: `http://127.0.0.1:${port}/v1`, maxRetries: 0 });
}

function portOf({ origin }: Recipe): number {
  return Number(new URL(origin).port);
}

/** Events of a response, collected until the stream ends or there are enough. */
class Received {
  id = "";
  text = "";
  readonly numbers: number[] = [];
  last: string | undefined;

  async take(events: Events, count = Infinity): Promise<void> {
    for await (const event of events) {
      if (event.type === "response.created") this.id = event.response.id;
      if (event.type === "response.output_text.delta") this.text += event.delta;
      this.numbers.push(event.sequence_number);
      this.last = event.type;
      if (this.numbers.length === count) break;
    }
  }
}

test(
  "a response in the background goes on while its client is cut off, and is followed from the next event",
  { timeout: 60_000 },
  async () => {
    const recipe = await startRecipe("openai");
    proxy = await RedisProxy.start(portOf(recipe));
    const cut = connect(proxy.port);
    const received = new Received();
    const events = await cut.responses.create({ ...REQUEST, background: true });
    const taking = received.take(events).then(
      () => "whole",
      () => "cut off",
    );
    await expect.poll(() => received.numbers.length, { timeout: 10_000 }).toBeGreaterThan(2);
    proxy.shut();
    expect(await taking).toBe("cut off");
    const starting_after = received.numbers.at(-1)!;
    proxy.open();
    await received.take(
      await cut.responses.retrieve(received.id, { stream: true, starting_after }),
    );
    expect(received).toMatchObject({ text: ANSWER, last: "response.completed" });
    expect(received.numbers).toEqual(received.numbers.map((_number, index) => index));

    // A second client, after the end.
    const again = new Received();
    const client = connect(portOf(recipe));
    await again.take(await client.responses.retrieve(received.id, { stream: true }));
    expect(again).toEqual(received);
    const response = await client.responses.retrieve(received.id);
    expect(response.status).toBe("completed");
    expect(response.output_text).toBe(ANSWER);
  },
);

test(
  "a response is cancelled by any client, and one in the foreground by leaving",
  { timeout: 60_000 },
  async () => {
    const client = connect(portOf(await startRecipe("openai", { WORD_MS: "1000" })));
    const received = new Received();
    const events = await client.responses.create({ ...REQUEST, background: true });
    const taking = received.take(events);
    await expect.poll(() => received.text, { timeout: 10_000 }).toBe("A ");
    const cancelled = await client.responses.cancel(received.id);
    expect(cancelled.status).toBe("cancelled");
    await taking;
    expect((await client.responses.retrieve(received.id)).status).toBe("cancelled");
    await expect(client.responses.cancel(received.id)).rejects.toMatchObject({ status: 409 });
    await expect(client.responses.retrieve("resp_0")).rejects.toMatchObject({ status: 404 });

    const left = new Received();
    await left.take(await client.responses.create(REQUEST), 2);
    expect((await client.responses.retrieve(left.id)).status).toBe("in_progress");
    await expect
      .poll(async () => (await client.responses.retrieve(left.id)).status, { timeout: 10_000 })
      .toBe("cancelled");
  },
);
