/** Streams over POST, such as the answers of language models. */

import { connect } from "@tidewire/client";
import { expect, it } from "vitest";
import { follow } from "./followed.js";
import { broken, ended, script, status, stream } from "./scripted-server.js";
import { HTTP1, serve } from "./served.js";

const QUESTION = {
  headers: { "content-type": "application/json" },
  body: JSON.stringify({ prompt: "What is a tide?" }),
};

it.each(HTTP1.map((binding) => [binding.name, binding] as const))(
  "On %s an answer that ends in complete(last) arrives whole",
  async (_, binding) => {
    const { url } = await serve(
      async ({ sse, request }) => {
        let body = "";
        for await (const chunk of request) body += String(chunk);
        await sse.stream(["The ", "moon."], { map: (data) => ({ event: "n", data: { data } }) });
        await sse.complete({ event: "done", data: { asked: JSON.parse(body) as unknown } });
      },
      {},
      binding,
    );
    const followed = follow(url, QUESTION);
    expect(await followed.until("closed")).toEqual({ state: "closed", reason: "completed" });
    expect(followed.data).toEqual([
      { data: "The " },
      { data: "moon." },
      { asked: { prompt: "What is a tide?" } },
    ]);
  },
);

it("An orderly end is final if the answer had no ID", async () => {
  const server = await script(ended("data: a\n\ndata: [DONE]\n\n"));
  const followed = follow(server.url, QUESTION);
  expect(await followed.until("closed")).toEqual({ state: "closed", reason: "ended" });
  expect(followed.data).toEqual(["a", "[DONE]"]);
  expect(server.asked).toMatchObject([{ method: "POST", body: QUESTION.body }]);
});

it("An answer with IDs goes on where it was, with the same body", async () => {
  const server = await script(
    ended("id: 1\ndata: a\n\n"),
    broken("id: 2\ndata: b\n\n"),
    ended("event: done\nid: ~end\ndata: c\n\n"),
  );
  const followed = follow(server.url, { ...QUESTION, method: "put" });
  expect(await followed.until("closed")).toEqual({ state: "closed", reason: "completed" });
  expect(followed.data).toEqual(["a", "b", "c"]);
  expect(
    server.asked.map(({ method, body, headers }) => [method, body, headers["last-event-id"]]),
  ).toEqual([
    ["PUT", QUESTION.body, undefined],
    ["PUT", QUESTION.body, "1"],
    ["PUT", QUESTION.body, "2"],
  ]);
});

it("A question is asked again after a wrong answer and a broken one", async () => {
  const server = await script(status(503), broken("data: a\n\n"), ended("data: a\n\n"));
  const followed = follow(server.url, QUESTION);
  expect(await followed.until("closed")).toEqual({ state: "closed", reason: "ended" });
  expect(server.asked).toHaveLength(3);
});

it.each([400, 404, 413, 422])(
  "A question that is answered %i is not asked again, and a loop over it throws",
  async (code) => {
    const server = await script(status(code));
    const followed = follow(server.url, QUESTION);
    const error = new Error(`HTTP ${code}`);
    expect(await followed.until("closed")).toEqual({
      state: "closed",
      reason: "refused",
      httpStatus: code,
      error,
    });
    const loop = connect(server.url, QUESTION)[Symbol.asyncIterator]();
    await expect(loop.next()).rejects.toThrow(error);
    expect(server.asked).toHaveLength(2);
  },
);

it.each([
  ["GET", 404],
  ["POST", 408],
  ["POST", 425],
  ["POST", 429],
])("%s that is answered %i is tried again", async (method, code) => {
  const server = await script(status(code), stream("data: a\n\n"));
  const followed = follow(server.url, { method });
  await followed.until("open");
  expect(server.asked).toHaveLength(2);
});

it("A body may be bytes or a form", async () => {
  const server = await script(stream());
  for (const body of [new TextEncoder().encode("a=b"), new URLSearchParams({ a: "b" })]) {
    await follow(server.url, { body }).until("open");
  }
  expect(server.asked.map(({ body }) => body)).toEqual(["a=b", "a=b"]);
  expect(server.asked[1]?.headers["content-type"]).toMatch(/^application\/x-www-form-urlencoded/);
});
