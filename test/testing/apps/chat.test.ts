import { openStream } from "@tidewire/testing";
import type { TestStream } from "@tidewire/testing";
import request from "supertest";
import { afterAll, expect, test } from "vitest";
import { createChat } from "./chat.js";

const { app, hub, runs } = createChat();
afterAll(() => runs.close().then(() => hub.close()));

const ask = (id: string, prompt: string) => openStream(app, `/chat/${id}`, { body: { prompt } });
const textOf = ({ events }: TestStream): string =>
  events.map(({ data }) => (data as { token?: string }).token ?? "").join("");

test("writes an answer and is complete", async () => {
  await using stream = await ask("1", "What is a tide?");
  expect((await stream.next("end")).data).toEqual({ outcome: "done" });
  expect(textOf(stream)).toBe("You asked: What is a tide? ");
  expect(await stream.ended()).toBe("end");
  expect(stream.completed).toBe(true);
});

test("goes on with the same answer after a reload", async () => {
  await using asked = await ask("2", "What is a tide?");
  await asked.next("token");
  asked.cut();
  await using stream = await openStream(app, "/chat/2", { lastEventId: asked.lastEventId });
  await stream.next("end");
  expect(textOf(asked) + textOf(stream)).toBe("You asked: What is a tide? ");
});

test("answers one prompt at a time, until it is stopped", async () => {
  await using stream = await ask("3", "word ".repeat(200));
  await expect(ask("3", "Another one?")).rejects.toMatchObject({ status: 409 });
  await request(app).delete("/chat/3").expect({ stopped: true });
  expect((await stream.next("end")).data).toEqual({ outcome: "stopped" });
});
