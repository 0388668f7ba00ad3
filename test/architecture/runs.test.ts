import { readdirSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { readText } from "./sources.js";

const rows = readText("docs/guide/runs.md")
  .split("\n")
  .flatMap((line) => /^\| .* \| “(.*)” \|$/.exec(line)?.[1] ?? []);
const tests = ["test/runs", "packages/runs/test"]
  .flatMap((folder) =>
    readdirSync(new URL(`../../${folder}`, import.meta.url)).map((name) => `${folder}/${name}`),
  )
  .map(readText)
  .join("\n");

describe("The table of failures in docs/guide/runs.md", () => {
  it("has rows", () => {
    expect(rows.length).toBeGreaterThan(10);
  });

  it.each(rows)("names an existing test: %s", (name) => {
    expect(tests).toContain(`"${name}"`);
  });
});
