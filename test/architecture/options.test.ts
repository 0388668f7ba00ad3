/** Checks that docs/reference/options.md matches the doc comments. */

import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { DEFAULTS } from "@tidewire/core";
import { describe, expect, it } from "vitest";
import { readText } from "./sources.js";

const SCRIPT = fileURLToPath(new URL("../../scripts/write-options.mjs", import.meta.url));
const page = readText("docs/reference/options.md");

describe("docs/reference/options.md", () => {
  it("matches the output of `pnpm docs:options`", () => {
    const written = execFileSync(process.execPath, [SCRIPT, "--print"], { encoding: "utf8" });
    expect(page).toBe(written);
  });

  it("has a section for every option of a hub", () => {
    const section = page.split(/^## /m).find((text) => text.startsWith("Hub\n")) ?? "";
    const headings = [...section.matchAll(/^### (\w+)$/gm)].map(([, name]) => name);
    const all = [...Object.keys(DEFAULTS), "authorize", "authorizeAll", "log"];
    expect(new Set(headings)).toEqual(new Set(all));
  });
});
