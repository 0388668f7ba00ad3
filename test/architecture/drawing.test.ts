/** Keeps docs/contribute/architecture.svg what the sources are. */

import { execFileSync } from "node:child_process";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { folderOf, importsOf } from "./imports.js";
import { readSources, readText } from "./sources.js";

const SCRIPT = fileURLToPath(new URL("../../scripts/draw-architecture.mjs", import.meta.url));
const drawing = readText("docs/contribute/architecture.svg");

/** The folders that each folder imports from, determined independently of the drawing script. */
function importsByFolder(): Map<string, Set<string>> {
  const folders = new Map<string, Set<string>>();
  for (const source of readSources("core")) {
    const folder = folderOf(source.name);
    const imports = folders.get(folder) ?? new Set();
    folders.set(folder, imports);
    for (const { from } of importsOf(source)) {
      if (!from.startsWith(".")) continue;
      const target = path.posix.join(path.posix.dirname(source.name), from.replace(/\.js$/, ""));
      if (folderOf(target) !== folder) imports.add(folderOf(target));
    }
  }
  return folders;
}

describe("docs/contribute/architecture.svg", () => {
  it("matches the output of `pnpm docs:architecture`", () => {
    const drawn = execFileSync(process.execPath, [SCRIPT, "--print"], { encoding: "utf8" });
    expect(drawing).toBe(drawn);
  });

  it("has a box for every folder, with every folder that it imports from", () => {
    const boxes = [...drawing.matchAll(/data-folder="([^"]*)" data-imports="([^"]*)"/g)];
    const drawn = boxes.map(
      ([, folder, imports = ""]) => `${folder}: ${imports.split(" ").toSorted().join(" ")}`,
    );
    const found = [...importsByFolder()].map(
      ([folder, imports]) => `${folder}: ${[...imports].toSorted().join(" ")}`,
    );
    expect(drawn.toSorted()).toEqual(found.toSorted());
  });
});

describe("docs/contribute/architecture.md", () => {
  const page = readText("docs/contribute/architecture.md");
  const files = new Set(readSources("core").map(({ name }) => name));
  const named = [...page.matchAll(/`((?:[a-z-]+\/)?[a-z0-9-]+)\.ts`/g)].map(
    ([, name]) => name ?? "",
  );

  it("names files", () => {
    expect(named.length).toBeGreaterThan(20);
  });

  it("names only existing files of the core", () => {
    expect(named.filter((name) => !files.has(name))).toEqual([]);
  });
});

describe("The list of folders in CONTRIBUTING.md", () => {
  const section = readText("CONTRIBUTING.md").split("## Layers and the wall")[1] ?? "";
  const block = section.split("```")[1] ?? "";
  const listed = [...block.matchAll(/^([a-z]+)(?:\/|\.ts) /gm)].map(([, name]) => name ?? "");
  const folders = importsByFolder();

  it("names every folder once", () => {
    expect(listed.toSorted()).toEqual([...folders.keys()].toSorted());
  });

  it("puts each folder above those that it imports from", () => {
    const faults = [...folders].flatMap(([folder, imports]) =>
      [...imports]
        .filter((target) => listed.indexOf(target) < listed.indexOf(folder))
        .map((target) => `${folder} imports ${target}`),
    );
    expect(faults).toEqual([]);
  });
});
