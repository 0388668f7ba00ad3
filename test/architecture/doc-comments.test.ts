import { describe, expect, it } from "vitest";
import { exportsOf, isDocumented, undocumentedProperties } from "./doc-comments.js";
import { PACKAGES, readSources } from "./sources.js";
import type { Source } from "./sources.js";

function sourceOf(sources: readonly Source[], name: string): Source {
  const found = sources.find((source) => source.name === name);
  if (found === undefined) throw new Error(`${name}.ts does not exist`);
  return found;
}

/** Exports of a package's public entry, with the files that declare them. */
function declarations(name: string, entry: string): { symbol: string; source: Source }[] {
  const sources = readSources(name);
  return exportsOf(sourceOf(sources, entry))
    .filter(({ from }) => from !== "@tidewire/core")
    .map(({ name: symbol, from }) => ({
      symbol,
      source: sourceOf(sources, (from ?? `./${entry}.js`).slice("./".length, -".js".length)),
    }));
}

/** The entries of all packages. */
const ENTRIES = [...PACKAGES.map((name) => [name, "index"] as const), ["client", "react"] as const];

describe.each(ENTRIES)("The public entry of %s, %s.ts", (name, entry) => {
  const declared = declarations(name, entry);

  it("exports something", () => {
    expect(declared.length).toBeGreaterThan(0);
  });

  it.each(declared.map(({ symbol, source }) => [symbol, source] as const))(
    "exports %s with a doc comment at its declaration",
    (symbol, source) => {
      expect(isDocumented(source, symbol)).toBe(true);
    },
  );

  it("takes from the core only what the core exports", () => {
    const ofCore = new Set(
      exportsOf(sourceOf(readSources("core"), "index")).map((one) => one.name),
    );
    const taken = exportsOf(sourceOf(readSources(name), entry))
      .filter(({ from }) => from === "@tidewire/core")
      .map((one) => one.name);
    expect(taken.filter((one) => !ofCore.has(one))).toEqual([]);
  });
});

it.each([
  ["HubOptions", "options/hub", 5],
  ["OpenOptions", "options/open", 5],
  ["SubscribeOptions", "options/subscribe", 2],
  ["CloseOptions", "hub/shutdown", 1],
  ["RetentionOptions", "options/hub", 3],
  ["Log", "log/log", 5],
  ["LogFollower", "log/log", 2],
  ["LogEntry", "log/log", 2],
  ["LogMessage", "log/log", 3],
  ["Channel", "hub/channel", 3],
])("Every member of %s in %s.ts has a doc comment", (name, file, least) => {
  const { names, count } = undocumentedProperties(sourceOf(readSources("core"), file), name);
  expect(names).toEqual([]);
  expect(count).toBeGreaterThanOrEqual(least);
});

it("Every option of HubOptions names its default", () => {
  const { text } = sourceOf(readSources("core"), "options/hub");
  const start = text.indexOf("export interface HubOptions<");
  const body = text.slice(start, text.indexOf("\n}", start));
  const { count } = undocumentedProperties({ name: "options", text }, "HubOptions");
  expect(body.match(/@defaultValue/g)).toHaveLength(count);
});

describe("The check of doc comments", () => {
  const source: Source = {
    name: "made-up",
    text: [
      "/** One. */",
      "export function one(): void {}",
      "export function two(): void {}",
      "// Three.",
      "export const three = 3;",
      "/** Four. */",
      "const four = 4;",
      "export class Five {}",
      "/** Six: `a * b`. */",
      "export interface Six {",
      "  /** A. */",
      "  readonly a: number;",
      "  readonly b?: number | undefined;",
      "  // No doc comment.",
      "  c(): void;",
      "}",
      "/* Not a doc comment. */",
      "export type Seven = 7;",
    ].join("\n"),
  };

  it("finds what a file exports", () => {
    expect(exportsOf(source).map(({ name }) => name)).toEqual([
      "one",
      "two",
      "three",
      "Five",
      "Six",
      "Seven",
    ]);
    const text =
      'export { a, type B } from "./x.js";\nexport type {\n  C,\n  D as E,\n} from "./y.js";';
    expect(exportsOf({ name: "index", text })).toEqual([
      { name: "a", from: "./x.js" },
      { name: "B", from: "./x.js" },
      { name: "C", from: "./y.js" },
      { name: "D", from: "./y.js" },
    ]);
  });

  it("fails for a declaration without a doc comment", () => {
    const documented = exportsOf(source).filter(({ name }) => isDocumented(source, name));
    expect(documented.map(({ name }) => name)).toEqual(["one", "Six"]);
    expect(isDocumented(source, "absent")).toBe(false);
  });

  it("fails for a property without a doc comment", () => {
    expect(undocumentedProperties(source, "Six")).toEqual({ names: ["b", "c"], count: 3 });
    expect(undocumentedProperties(source, "Absent")).toEqual({ names: [], count: 0 });
  });
});
