import { describe, expect, it } from "vitest";
import { PACKAGES, readSources, readText, withoutComments } from "./sources.js";

const CODE = /ERR_SSE_[A-Z][A-Z_]*[A-Z]/g;
/** The declaration of the union, where a code does not count as thrown. */
const UNION = /export type SseErrorCode =[^;]*;/;

function codesIn(text: string): Set<string> {
  return new Set(text.match(CODE));
}

const errors = readSources("core").find(({ name }) => name === "errors")?.text ?? "";
const union = codesIn(UNION.exec(errors)?.[0] ?? "");
const sources = PACKAGES.flatMap(readSources);
const thrown = codesIn(
  sources.map(({ text }) => withoutComments(text).replace(UNION, "")).join("\n"),
);
const docs = readText("docs/reference/errors.md");
const headings = docs.match(/^#+ .*$/gm) ?? [];

describe("The error codes", () => {
  it("are found at all", () => {
    expect(union.size).toBeGreaterThan(0);
  });

  it("of the union are exactly those that the sources throw", () => {
    expect([...thrown].toSorted()).toEqual([...union].toSorted());
  });

  it("of the union are just those that have a heading in docs/reference/errors.md", () => {
    expect([...codesIn(headings.join("\n"))].toSorted()).toEqual([...union].toSorted());
  });

  it("have one heading each", () => {
    const named = headings.flatMap((heading) => heading.match(CODE) ?? []);
    expect(named).toHaveLength(union.size);
  });

  it("that docs/reference/errors.md and doc comments speak of all exist", () => {
    const spokenOf = codesIn([docs, ...sources.map(({ text }) => text)].join("\n"));
    expect([...spokenOf].filter((code) => !union.has(code))).toEqual([]);
  });
});
