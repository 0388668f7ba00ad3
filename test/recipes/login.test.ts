/// <reference lib="dom" />
import type { TestStream } from "@tidewire/testing";
import type { Page } from "playwright-core";
import { expect, test } from "vitest";
import { describeInChromium } from "../browser/chromium.js";
import { startRecipe } from "./start-recipe.js";
import type { Recipe } from "./start-recipe.js";

/** The cookie of a new login. */
async function logIn({ origin }: Recipe, user: string): Promise<string> {
  const answer = await fetch(`${origin}/login`, {
    method: "POST",
    body: new URLSearchParams({ user }),
  });
  expect(answer.status).toBe(204);
  const [cookie] = answer.headers.getSetCookie();
  expect(cookie).toMatch(/; HttpOnly; SameSite=Strict$/);
  return cookie!.split(";")[0]!;
}

/** Opens a stream with a login, which begins with who its user is. */
async function open(recipe: Recipe, cookie: string, role: string): Promise<TestStream> {
  const stream = await recipe.stream("/events", { headers: { cookie } });
  expect(await stream.next("you")).toMatchObject({ data: { role } });
  return stream;
}

test("login: a role decides which events a stream has, and a change of it reaches open streams without a loss", async () => {
  const recipe = await startRecipe("login");
  const { ask, stream } = recipe;
  await expect(stream("/events")).rejects.toMatchObject({ status: 401 });
  await expect(stream("/events", { headers: { cookie: "login=made-up" } })).rejects.toMatchObject({
    status: 401,
  });
  const cookie = await logIn(recipe, "ada");
  const [ada, ben] = [
    await open(recipe, cookie, "editor"),
    await open(recipe, await logIn(recipe, "ben"), "reader"),
  ];
  await ask("POST", "/drafts", { text: "first" });
  await ask("POST", "/notices", { text: "second" });
  expect(await ada.next("draft")).toMatchObject({ data: { text: "first" } });
  for (const one of [ada, ben]) {
    expect(await one.next("notice")).toMatchObject({ data: { text: "second" } });
  }

  expect((await ask("PUT", "/users/ada/role", { role: "reader" })).status).toBe(204);
  await ada.ended();
  await ask("POST", "/drafts", { text: "third" });
  await ask("POST", "/notices", { text: "fourth" });
  await ada.resume();
  expect(await ada.next()).toMatchObject({ event: "notice", data: { text: "fourth" } });
  expect(await ada.next("you")).toMatchObject({ data: { role: "reader" } });
  expect(ben.events.some(({ event }) => event === "draft")).toBe(false);
});

test("login: a logout ends the streams of that login only", async () => {
  const recipe = await startRecipe("login");
  const [office, home] = [await logIn(recipe, "ada"), await logIn(recipe, "ada")];
  const [atOffice, atHome] = [
    await open(recipe, office, "editor"),
    await open(recipe, home, "editor"),
  ];
  await recipe.ask("POST", "/logout", undefined, { cookie: office });
  await Promise.all([atOffice.ended(), atHome.ended()]);
  await recipe.ask("POST", "/notices", { text: "High water" });
  await atHome.resume();
  expect(await atHome.next("notice")).toMatchObject({ data: { text: "High water" } });
  await expect(atOffice.resume()).rejects.toMatchObject({ status: 401 });
});

describeInChromium("login", (browser) => {
  test("shows the form again once all logins of the user have ended, and a new login works", async () => {
    const { ask, origin } = await startRecipe("login");
    const context = await browser().newContext();
    const page = await context.newPage();
    try {
      await page.goto(origin);
      await page.click("text=Log in");
      await page.waitForSelector("#desk:visible");
      await ask("POST", "/drafts", { text: "High water" });
      await expect.poll(() => items(page)).toEqual(["draft: High water"]);

      await ask("DELETE", "/users/ada/logins");
      // EventSource asks once more, after the reconnection time.
      await page.waitForSelector("#login:visible", { timeout: 15_000 });
      await ask("POST", "/drafts", { text: "Low water" });
      await page.click("text=Log in");
      await page.waitForSelector("#desk:visible");
      await ask("POST", "/drafts", { text: "Ebb" });
      await expect.poll(() => items(page)).toEqual(["draft: Ebb"]);
      await page.click("text=Log out");
      await page.waitForSelector("#login:visible");
    } finally {
      await context.close();
    }
  });
});

function items(page: Page): Promise<(string | null)[]> {
  return page.$$eval("#list li", (all) => all.map((item) => item.textContent));
}
