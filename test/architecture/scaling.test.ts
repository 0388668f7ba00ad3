import { readdirSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { readText } from "./sources.js";

const rows = readText("docs/operate/scaling.md")
  .split("\n")
  .flatMap((line) => /^\| .* \| “(.*)” \|$/.exec(line)?.[1] ?? []);
const tests = readdirSync(new URL("../redis", import.meta.url))
  .filter((name) => name.endsWith(".test.ts"))
  .map((name) => readText(`test/redis/${name}`))
  .join("\n");

describe("The table of failures in docs/operate/scaling.md", () => {
  it("has rows", () => {
    expect(rows.length).toBeGreaterThan(10);
  });

  it.each(rows)("names an existing test: %s", (name) => {
    expect(tests).toContain(`"${name}"`);
  });
});
