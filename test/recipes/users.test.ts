/// <reference lib="dom" />
import { EventSource } from "eventsource";
import { describe, expect, test } from "vitest";
import { describeInChromium } from "../browser/chromium.js";
import { eventually, within } from "../client.js";
import { startRecipe } from "./start-recipe.js";

describe("notifications", () => {
  test("reach every stream of their user and of no other", async () => {
    const { ask, open } = await startRecipe("notifications");
    expect((await open("/notifications")).status).toBe(401);
    const [desk, phone, other] = await Promise.all(
      ["ada", "ada", "ben"].map((user) => open("/notifications", { cookie: `user=${user}` })),
    );
    const added = await ask("POST", "/users/ada/notifications", { text: "High water" });
    expect(added.status).toBe(201);
    const { id } = JSON.parse(added.text) as { id: string };
    await desk!.until('"High water"');
    await phone!.until('"High water"');

    // A tab that comes later has what is unread.
    const later = await open("/notifications", { cookie: "user=ada" });
    await later.until(/event: unread\n(retry: \d+\n)?data: \[\{.*High water/);
    await ask("DELETE", `/notifications/${id}`, undefined, { cookie: "user=ada" });
    for (const tab of [desk!, phone!, later]) await tab.until("event: read\n");
    await ask("POST", "/users/ben/notifications", { text: "Low water" });
    await other!.until("Low water");
    expect(other!.text).not.toContain("High water");
    expect(desk!.text).not.toContain("Low water");
  });

  test("come to a client that was away", async () => {
    const { ask, open } = await startRecipe("notifications");
    const client = await open("/notifications", { cookie: "user=ada" });
    const [, position] = /event: sse-cursor\nid: (.+)\n/.exec(
      await client.until(/sse-cursor\nid: .+\n/),
    )!;
    client.cut();
    await ask("POST", "/users/ada/notifications", { text: "High water" });
    const back = await open("/notifications", { cookie: "user=ada", "last-event-id": position! });
    await back.until("High water");
    expect(back.text).toContain("event: added");
    expect(back.text).not.toContain("event: unread");
  });
});

describe("presence", () => {
  const MEMBERS = "/rooms/harbour/members?name=";

  test("lists who is there, and tells who comes and goes", async () => {
    const { open } = await startRecipe("presence", { GRACE_MS: "300" });
    const ada = await open(`${MEMBERS}ada`);
    await ada.until("event: joined\n");
    const ben = await open(`${MEMBERS}ben`);
    await ada.until('{"name":"ben"}');
    expect(await ben.until("sse-cursor")).toMatch(
      /event: members\n(retry: \d+\n)?data: \["ada"\]\n/,
    );
    ben.cut();
    await ada.until("event: left\n");
    const cleo = await open(`${MEMBERS}cleo`);
    expect(await cleo.until("sse-cursor")).toMatch(/data: \["ada"\]\n/);
  });

  test("takes a reload and a second tab for the same member", async () => {
    const { open } = await startRecipe("presence", { GRACE_MS: "1000" });
    const ada = await open(`${MEMBERS}ada`);
    const first = await open(`${MEMBERS}ben`);
    await ada.until('{"name":"ben"}');
    const second = await open(`${MEMBERS}ben`);
    await second.until("sse-cursor");
    first.cut();
    second.cut();
    await open(`${MEMBERS}ben`);
    const cleo = await open(`${MEMBERS}cleo`);
    await cleo.until("sse-cursor");
    await new Promise((resolve) => {
      setTimeout(resolve, 1_200);
    });
    expect(ada.text).not.toContain("event: left");
    expect(ada.text.match(/"name":"ben"/g)).toHaveLength(1);
  });
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
