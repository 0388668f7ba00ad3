import { faultyLog, injectStream } from "@tidewire/testing";
import { afterAll, expect, test } from "vitest";
import { createDashboard } from "./dashboard.js";

const log = faultyLog();
const { app, hub } = await createDashboard({ log });
afterAll(() => app.close().then(() => hub.close()));

const set = (item: string, count: number) =>
  app.inject({ method: "PUT", url: `/stock/${item}`, payload: { count } });

test("shows all values, then each change", async () => {
  await set("rope", 3);
  await using stream = await injectStream(app, "/stock");
  expect((await stream.next()).data).toEqual({ rope: 3 });
  await set("tar", 50);
  expect((await stream.next("change")).data).toEqual({ item: "tar", count: 50 });
});

test("sends only the changes to a page that comes back", async () => {
  await using stream = await injectStream(app, "/stock");
  await stream.next("all");
  await set("rope", 4);
  await stream.next("change");
  stream.cut();
  await set("rope", 5);
  await stream.resume();
  expect(await stream.next()).toMatchObject({ event: "change", data: { item: "rope", count: 5 } });
  expect(stream.resets).toEqual([]);
});

test("shows all values again when the log has lost its history", async () => {
  await using stream = await injectStream(app, "/stock");
  await stream.next("all");
  await log.fork();
  expect(await stream.nextReset()).toMatchObject({ reason: "fork" });
  expect(await stream.next()).toMatchObject({ event: "all", data: { rope: 5, tar: 50 } });
});
