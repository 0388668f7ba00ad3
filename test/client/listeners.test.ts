/** Listeners: what they get, and what becomes of their errors. */

import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { expect, it } from "vitest";
import { eventually } from "../client.js";
import { follow } from "./followed.js";
import { ended, script, stream } from "./scripted-server.js";

it("Data is parsed as JSON, and handed on as the string where it is not", async () => {
  const server = await script(
    stream('id: 1\ndata: {"a":\ndata: 1}\n\ndata: {a}\n\nevent: n\ndata\n\n'),
  );
  const followed = follow(server.url);
  await followed.untilEvents(3);
  expect(followed.events).toEqual([
    { type: "message", data: { a: 1 }, text: '{"a":\n1}', lastEventId: "1" },
    { type: "message", data: "{a}", text: "{a}", lastEventId: "1" },
    { type: "n", data: "", text: "", lastEventId: "1" },
  ]);
});

it("With `json: false` all data is a string, except that of resets", async () => {
  const server = await script(
    stream('data: {"a":1}\n\nevent: sse-reset\ndata: {"reason":"unknown","channels":["a"]}\n\n'),
  );
  const followed = follow(server.url, { json: false });
  const resets: unknown[] = [];
  followed.stream.onReset((reset) => resets.push(reset));
  await eventually("a reset", () => resets.length === 1);
  expect(followed.data).toEqual(['{"a":1}']);
  expect(resets).toEqual([{ reason: "unknown", channels: ["a"] }]);
});

it("A listener that throws disturbs neither the others nor the stream, and its error is uncaught", async () => {
  const server = await script(ended("data: 1\n\ndata: 2\nid: ~end\n\n"));
  // In its own process: the errors would fail any other test.
  const program = `
    import { connect } from "@tidewire/client";
    process.on("uncaughtException", ({ message }) => console.log(message));
    const stream = connect("${server.url}");
    stream.onStatus(({ state }) => { throw new Error(state); });
    stream.on("message", (data) => { throw new Error("listener " + data); });
    stream.on("message", (data) => console.log("data", data));
  `;
  const { stdout } = await promisify(execFile)(process.execPath, [
    "--input-type=module",
    "-e",
    program,
  ]);
  expect(stdout.trim().split("\n").toSorted()).toEqual([
    "closed",
    "data 1",
    "data 2",
    "listener 1",
    "listener 2",
    "open",
  ]);
});

it("A listener is called once for each time it was added, and no more once it is removed", async () => {
  const server = await script(stream("data: 1\n\ndata: 2\n\ndata: 3\n\n"));
  const followed = follow(server.url);
  const seen: unknown[] = [];
  const listener = (data: unknown): void => void seen.push(data);
  const remove = followed.stream.on("message", listener);
  followed.stream.on("message", listener);
  followed.stream.on("message", (data) => {
    if (data !== 1) return;
    remove();
    remove();
    // Not called for the event that is being delivered.
    followed.stream.on("message", (later) => seen.push([later]));
  });
  await followed.untilEvents(3);
  expect(seen).toEqual([1, 1, 2, [2], 3, [3]]);
});

it("Blocks with only an ID, comments and the events of the protocol reach no listener", async () => {
  const server = await script(
    stream(
      ": c\n\nid: 1\n\nevent: sse-cursor\nid: 2\ndata: {}\n\nevent: sse-retry\ndata: {}\n\ndata: x\n\n",
    ),
  );
  const followed = follow(server.url);
  const seen: string[] = [];
  for (const type of ["sse-cursor", "sse-retry", "sse-complete"]) {
    followed.stream.on(type, () => seen.push(type));
  }
  await followed.untilEvents(1);
  expect(seen).toEqual([]);
  expect(followed.events[0]?.lastEventId).toBe("2");
});

it("A listener may close or reopen the stream, and gets no event of it after that", async () => {
  const server = await script(
    stream("id: 1\ndata: 1\n\nid: 2\ndata: 2\n\n"),
    ended("data: again\nid: ~end\n\n"),
  );
  const followed = follow(server.url);
  followed.stream.on("message", (data) => {
    if (data === 1) followed.stream.reopen(`${server.url}other`);
  });
  await followed.until("closed");
  expect(followed.data).toEqual([1, "again"]);
  expect(server.asked[1]).toMatchObject({ url: "/other", headers: { "last-event-id": "1" } });

  const other = follow((await script(stream("data: 1\n\ndata: 2\n\n"))).url);
  other.stream.on("message", () => other.stream.close());
  await other.until("closed");
  expect(other.data).toEqual([1]);
});

it("A status listener may close the stream in any state", async () => {
  for (const state of ["open", "waiting", "connecting"]) {
    const server = await script(ended());
    const followed = follow(server.url);
    followed.stream.onStatus((now) => now.state === state && followed.stream.close());
    expect(await followed.until("closed")).toEqual({ state: "closed", reason: "close" });
  }
});
