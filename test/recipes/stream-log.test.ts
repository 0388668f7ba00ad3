import { expect, test } from "vitest";
import { eventually } from "../client.js";
import { startRecipe } from "./start-recipe.js";

test("a stream has one log line at its end, with the identity of its client", async () => {
  const { program, ask, open } = await startRecipe("stream-log");
  const client = await open("/news", { cookie: "user=ada" });
  await client.until("sse-cursor");
  const published = await ask("POST", "/news", { title: "High water" });
  expect(published.status).toBe(200);
  await client.until("event: headline");
  client.cut();
  const lines = (): Record<string, unknown>[] =>
    program
      .output()
      .split("\n")
      .filter((line) => line.includes("stream ended"))
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  await eventually("the line", () => lines().length > 0);
  expect(lines()).toEqual([
    expect.objectContaining({ user: "ada", path: "/news", reason: "client", events: 1 }),
  ]);
  expect(lines()[0]?.["bytes"]).toBeGreaterThan("event: headline\n".length);

  const anonymous = await open("/news");
  await anonymous.until("sse-cursor");
  anonymous.cut();
  await eventually("the second line", () => lines().length > 1);
  expect(lines()[1]).not.toHaveProperty("user");
});
