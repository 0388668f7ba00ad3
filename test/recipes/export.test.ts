import { expect, test } from "vitest";
import { lastIdOf, dataOf } from "../runs/served-runs.js";
import { startRecipe } from "./start-recipe.js";

const PATH = "/exports/2026-03";

/** The numbers of the rows that came. */
function rowsOf(text: string): number[] {
  return dataOf({ text }).map((data) => (JSON.parse(data) as { row: number }).row);
}

function upTo(last: number, first = 1): number[] {
  return Array.from({ length: last - first + 1 }, (_, index) => first + index);
}

test("continues after the position of a download that broke off, and after a number of rows", async () => {
  const { ask, open } = await startRecipe("export", { ROW_MS: "5", ROWS: "60" });
  expect(await ask("GET", PATH)).toMatchObject({ status: 404 });
  expect(await ask("POST", PATH)).toEqual({ status: 202, text: '{"started":true}' });
  expect(await ask("POST", PATH)).toEqual({ status: 202, text: '{"started":false}' });

  const first = await open(PATH);
  await first.until('"row":20,');
  const got = first.text.slice(0, first.text.lastIndexOf("\n\n") + 2);
  first.cut("rst");
  const rest = await open(PATH, { "last-event-id": lastIdOf({ text: got }) });
  const text = got + (await rest.rest());
  expect(rowsOf(text)).toEqual(upTo(60));
  expect(text).toMatch(/event: end\nid: ~end\ndata: {"outcome":"done"}\n\n$/);

  const counted = await open(`${PATH}?after=50`);
  expect(rowsOf(await counted.rest())).toEqual(upTo(60, 51));
  expect(await ask("GET", `${PATH}?after=row`)).toMatchObject({ status: 204 });
});

test("is stopped by a request", async () => {
  const { ask, open } = await startRecipe("export");
  await ask("POST", PATH);
  const client = await open(PATH);
  await client.until('"row":2,');
  expect(await ask("DELETE", PATH)).toEqual({ status: 200, text: '{"stopped":true}' });
  expect(await client.rest()).toContain('data: {"outcome":"stopped"}\n');
});
