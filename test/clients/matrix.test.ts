// Every client against everything that servers do to it. docs/clients/matrix.md is what is measured here; WRITE=docs writes it.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, test } from "vitest";
import { CLIENTS, missingFor } from "./clients.js";
import { measure } from "./measure.js";
import type { Cell, Measured } from "./measure.js";
import { COLUMNS, renderPage } from "./render.js";
import { MAX_REQUESTS, SCENARIOS } from "./scenarios.js";

const PAGE = fileURLToPath(new URL("../../docs/clients/matrix.md", import.meta.url));

const missing = new Set(CLIENTS.flatMap((client) => missingFor(client) ?? []));
// CI has the browsers, but may not reach the registry of Python packages.
const required = CLIENTS.filter(({ runsIn }) => runsIn !== "python").flatMap(
  (client) => missingFor(client) ?? [],
);
if (required.length > 0 && process.env["CI"] === "true") {
  throw new Error([...new Set(required)].join("; "));
}
for (const what of missing) console.warn(`Not installed, and its rows not measured: ${what}`);

const HERE = CLIENTS.filter((client) => missingFor(client) === undefined);

/** Clients as recommended: with the recipe, if there is one. */
const RECOMMENDED = HERE.filter(
  ({ name }) => !CLIENTS.some(({ recipeFor }) => recipeFor === name),
).map(({ name }) => name);

describe("the matrix of clients", () => {
  let measured: Measured;
  let versions: ReadonlyMap<string, string>;

  beforeAll(async () => {
    ({ measured, versions } = await measure(HERE));
  }, 300_000);

  const cellsOf = (name: string): (Cell & { readonly scenario: string })[] =>
    [...(measured.get(name) ?? [])].map(([scenario, cell]) => ({ ...cell, scenario }));

  test.each(HERE.map(({ name }) => name))("%s does not throw on plain streams", (name) => {
    const plain = new Set(SCENARIOS.filter(({ isPlain }) => isPlain).map((each) => each.name));
    const thrown = cellsOf(name)
      .filter(({ scenario }) => plain.has(scenario))
      .filter(({ text, run }) => run.has("throw") || /^(error|throws)/.test(text));
    expect(thrown.map(({ scenario, text }) => [scenario, text])).toEqual([]);
  });

  test.each(RECOMMENDED)(`%s makes at most ${MAX_REQUESTS} requests in 10 s`, (name) => {
    const storms = cellsOf(name).filter(({ text }) => text.includes("storm"));
    expect(storms.map(({ scenario, text }) => [scenario, text])).toEqual([]);
  });

  test.each(RECOMMENDED)("%s is served correctly", (name) => {
    const client = CLIENTS.find((each) => each.name === name);
    const wrong = cellsOf(name).filter(({ scenario, text }) => {
      const served = COLUMNS.find((each) => each.name === scenario)?.served ?? /^back(?!.*some)/;
      // One that asks once has to hear how its answer ended; whether to ask again is for its application to say.
      return (
        !served.test(text) && !(client?.reads === "answer" && /^stops(?! silently)/.test(text))
      );
    });
    expect(wrong.map(({ scenario, text }) => [scenario, text])).toEqual([]);
  });

  test("docs/clients/matrix.md says what is measured", () => {
    const committed = existsSync(PAGE) ? readFileSync(PAGE, "utf8") : "";
    const here = `Written with ${[...versions.values()].join(" and ")}.`;
    if (process.env["WRITE"] === "docs") {
      writeFileSync(PAGE, renderPage(measured, committed, here));
      return;
    }
    // Browsers on another machine may have other versions.
    const written = /^Written with .*$/m.exec(committed)?.[0] ?? here;
    expect(renderPage(measured, committed, written)).toBe(committed);
  });
});
