/// <reference lib="dom" />
import type { TestStream } from "@tidewire/testing";
import { EventSource } from "eventsource";
import { describe, expect, test } from "vitest";
import { describeInChromium } from "../browser/chromium.js";
import { eventually, within } from "../client.js";
import { startRecipe } from "./start-recipe.js";

describe("notifications", () => {
  test("reach every stream of their user and of no other", async () => {
    const { ask, stream } = await startRecipe("notifications");
    await expect(stream("/notifications")).rejects.toMatchObject({ status: 401 });
    const of = (user: string): Promise<TestStream> =>
      stream("/notifications", { headers: { cookie: `user=${user}` } });
    const [desk, phone, other] = [await of("ada"), await of("ada"), await of("ben")];
    const added = await ask("POST", "/users/ada/notifications", { text: "High water" });
    expect(added.status).toBe(201);
    const { id } = JSON.parse(added.text) as { id: string };
    for (const tab of [desk, phone]) {
      expect(await tab.next("added")).toMatchObject({ data: { text: "High water" } });
    }

    // A tab that comes later has what is unread.
    const later = await of("ada");
    expect(await later.next("unread")).toMatchObject({ data: [{ text: "High water" }] });
    await ask("DELETE", `/notifications/${id}`, undefined, { cookie: "user=ada" });
    for (const tab of [desk, phone, later]) await tab.next("read");
    await ask("POST", "/users/ben/notifications", { text: "Low water" });
    expect(await other.next("added")).toMatchObject({ data: { text: "Low water" } });
    expect(other.events.filter(({ event }) => event !== "unread")).toHaveLength(1);
    await desk.next("unread");
    await desk.quiet(50);
  });

  test("come to a client that was away", async () => {
    const { ask, stream } = await startRecipe("notifications");
    const client = await stream("/notifications", { headers: { cookie: "user=ada" } });
    await client.next("unread");
    await expect.poll(() => client.lastEventId).not.toBe("");
    client.cut();
    await ask("POST", "/users/ada/notifications", { text: "High water" });
    await client.resume();
    expect(await client.next()).toMatchObject({ event: "added", data: { text: "High water" } });
    expect(client.resets).toEqual([]);
  });
});

describe("presence", () => {
  const STREAM = "/rooms/harbour/stream?name=";

  test("lists who is there, and tells who comes and goes", async () => {
    const { ask, stream } = await startRecipe("presence", { LINGER_MS: "300" });
    const ada = await stream(`${STREAM}ada`);
    await membersOf(ada, ["ada"]);
    const ben = await stream(`${STREAM}ben`);
    await membersOf(ada, ["ada", "ben"]);
    await membersOf(ben, ["ada", "ben"]);
    const { text } = await ask("GET", "/rooms/harbour/members");
    expect(JSON.parse(text)).toEqual(["ada", "ben"]);
    ben.cut();
    expect(await ada.next("presence-leave")).toMatchObject({ data: { identities: ["ben"] } });
    const guest = await stream("/rooms/harbour/stream");
    await membersOf(guest, ["ada"]);
  });

  test("takes a reload and a second tab for the same member", async () => {
    const { stream } = await startRecipe("presence", { LINGER_MS: "1000" });
    const ada = await stream(`${STREAM}ada`);
    const [first, second] = [await stream(`${STREAM}ben`), await stream(`${STREAM}ben`)];
    await membersOf(ada, ["ada", "ben"]);
    first.cut();
    second.cut();
    await first.resume();
    await membersOf(first, ["ada", "ben"]);
    await stream(`${STREAM}cleo`);
    await ada.next("presence");
    for (const name of ["ada", "ben", "cleo"]) {
      expect(await ada.next("presence-join")).toMatchObject({ data: { identities: [name] } });
    }
    await ada.quiet(1_200);
  });

  /** Waits until the events of a stream add up to these members. */
  async function membersOf(stream: TestStream, expected: string[]): Promise<void> {
    await expect.poll(() => [...addUp(stream)].toSorted()).toEqual(expected);
  }

  /** Does with the events what the page does. */
  function addUp({ events }: TestStream): Set<string> {
    const members = new Set<string>();
    for (const { event, data } of events) {
      const { identities } = data as { identities: string[] };
      if (event === "presence") members.clear();
      for (const name of identities) {
        if (event === "presence-leave") members.delete(name);
        else members.add(name);
      }
    }
    return members;
  }
});

test("rate-limit makes an EventSource wait, which then gets what it missed", async () => {
  const { ask, open, origin } = await startRecipe("rate-limit", { WINDOW_MS: "4000" });
  const events: string[] = [];
  let position = "";
  // Four streams of the user are enough for the limit with the one of the EventSource.
  for (let count = 0; count < 4; count++) {
    const client = await open("/news");
    position = /id: (.+)\n/.exec(await client.until(/id: .+\n/))![1]!;
    client.cut();
  }
  await (await open("/news")).until("sse-cursor");
  const source = new EventSource(`${origin}/news?lastEventId=${position}`);
  source.addEventListener("busy", ({ data }) =>
    events.push(`busy ${(data as string).replace(/\d/, "n")}`),
  );
  source.addEventListener("headline", ({ data }) => events.push(data as string));
  try {
    await eventually("the refusal", () => events.length === 1);
    await ask("POST", "/news", { title: "High water" });
    expect((await ask("GET", "/news")).status).toBe(429);
    // Another user is served.
    expect((await open("/news", { cookie: "user=ben" })).text).not.toContain("busy");
    await within(
      "the headline",
      expect
        .poll(() => events, { timeout: 8_000 })
        .toEqual(['busy {"seconds":n}', '{"title":"High water"}']),
    );
  } finally {
    source.close();
  }
});

describeInChromium("rate-limit", (browser) => {
  test("shows a refused page what was published meanwhile, and that it is connected again", async () => {
    const { ask, open, origin } = await startRecipe("rate-limit", { WINDOW_MS: "5000" });
    const context = await browser().newContext();
    const page = await context.newPage();
    const state = (): Promise<string | null> => page.textContent("#state");
    for (let count = 0; count < 5; count++) {
      const client = await open("/news");
      await client.until("sse-cursor");
      client.cut();
    }
    try {
      await page.goto(origin);
      await expect.poll(state).toMatch(/^Too many streams\. This page tries again in \d s\.$/);
      await ask("POST", "/news", { title: "High water" });
      await expect.poll(state, { timeout: 10_000 }).toMatch(/^Connected\./);
      expect(
        await page.$$eval("#news li", (items) => items.map((item) => item.textContent)),
      ).toEqual(["High water"]);
    } finally {
      await context.close();
    }
  });
});
