/** 401 and 403: one renewal, shared by all streams that need it, and then the end. */

import type { Session } from "@tidewire/core";
import { expect, it } from "vitest";
import { eventually } from "../client.js";
import { follow } from "./followed.js";
import { ended, script, status, stream } from "./scripted-server.js";
import type { Answer } from "./scripted-server.js";
import { serve } from "./served.js";

/** Serves those with the right token. */
const guarded =
  (token: () => string, answer: Answer): Answer =>
  (response, request, asked) => {
    const isGuest = asked.headers.authorization !== `Bearer ${token()}`;
    (isGuest ? status(401) : answer)(response, request, asked);
  };

it("A token that expires in the middle is renewed once, and no event is lost", async () => {
  let valid = "one";
  let token = "one";
  let renewals = 0;
  let session: Session | undefined;
  const { hub, url } = await serve(
    async ({ sse, request, answer }) => {
      if (request.headers.authorization !== `Bearer ${valid}`) return answer(401, {});
      session = sse;
      await sse.subscribe("news");
    },
    { reconnectionTimeMs: 100 },
  );
  const followed = follow(url, {
    headers: async () => ({ authorization: `Bearer ${token}` }),
    onUnauthorized: async ({ httpStatus }) => {
      renewals += 1;
      expect(httpStatus).toBe(401);
      token = valid;
    },
  });
  await eventually("a position", () => followed.stream.lastEventId !== "");
  await hub.publish("news", { event: "n", data: 1 });
  await followed.untilEvents(1);
  for (const round of [2, 3]) {
    valid = `token ${round}`;
    // The server notices, and ends the stream.
    session?.close();
    await hub.publish("news", { event: "n", data: round });
    await followed.untilEvents(round);
  }
  expect([followed.data, renewals]).toEqual([[1, 2, 3], 2]);
});

it.each([401, 403])("%i closes the stream, and says so", async (code) => {
  const server = await script(status(code));
  const { stream: one, until, statuses } = follow(server.url);
  const closed = await until("closed");
  expect(closed).toEqual({
    state: "closed",
    reason: "unauthorized",
    httpStatus: code,
    error: new Error(`HTTP ${code}`),
  });
  expect([one.status, statuses.at(-1)]).toEqual([closed, closed]);
  expect(server.asked).toHaveLength(1);
});

it("401 for ever closes the stream after one renewal", async () => {
  const server = await script(status(401));
  let renewals = 0;
  const followed = follow(server.url, { onUnauthorized: () => void renewals++ });
  expect(await followed.until("closed")).toMatchObject({ reason: "unauthorized", httpStatus: 401 });
  expect([renewals, server.asked.length]).toEqual([1, 2]);
});

const FAILED: readonly (readonly [how: string, renew: () => Promise<boolean>, message: string])[] =
  [
    ["resolves to false", async () => false, "HTTP 401"],
    ["rejects", () => Promise.reject(new Error("no session")), "no session"],
    [
      "throws",
      () => {
        throw new Error("no session");
      },
      "no session",
    ],
  ];

it.each(FAILED)("A renewal that %s closes the stream", async (_, onUnauthorized, message) => {
  const server = await script(status(401));
  const followed = follow(server.url, { onUnauthorized });
  expect(await followed.until("closed")).toMatchObject({ error: new Error(message) });
  expect(server.asked).toHaveLength(1);
});

it("Streams that are refused at the same time share one renewal", async () => {
  let valid = "new";
  let token = "old";
  let renewals = 0;
  const server = await script(guarded(() => valid, stream("data: 1\n\n")));
  const onUnauthorized = async (): Promise<void> => {
    renewals += 1;
    await eventually("all requests", () => server.asked.length >= 5);
    token = valid;
  };
  const headers = (): Record<string, string> => ({ authorization: `Bearer ${token}` });
  const all = Array.from({ length: 5 }, () => follow(server.url, { headers, onUnauthorized }));
  await Promise.all(all.map((followed) => followed.untilEvents(1)));
  expect([renewals, server.asked.length]).toEqual([1, 10]);
  valid = "newer";
  server.cut();
  await Promise.all(all.map((followed) => followed.untilEvents(2)));
  expect(renewals).toBe(2);
});

it("A stream that opened may renew again when it is refused later", async () => {
  const server = await script(status(401), ended(), status(401), stream("data: 1\n\n"));
  let renewals = 0;
  const followed = follow(server.url, { onUnauthorized: () => void renewals++ });
  await followed.untilEvents(1);
  expect(renewals).toBe(2);
});

it("close() while the renewal runs ends the stream", async () => {
  const server = await script(status(401));
  let finish = (): void => {};
  const followed = follow(server.url, {
    onUnauthorized: () =>
      new Promise<void>((resolve) => {
        finish = resolve;
      }),
  });
  await eventually("the request", () => server.asked.length === 1);
  followed.stream.close();
  finish();
  expect(await followed.until("closed")).toEqual({ state: "closed", reason: "close" });
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect([server.asked.length, followed.statuses.length]).toEqual([1, 2]);
});
