import fs from "node:fs";
import path from "node:path";
import { expect, test } from "vitest";

const ROOT = path.resolve(import.meta.dirname, "../..");

test("each recipe is shown on a page and started by a test", () => {
  const names = fs
    .readdirSync(path.join(ROOT, "examples/recipes"))
    .map((file) => path.parse(file).name);
  const pages = read("docs/recipes", ".md");
  const tests = read("test/recipes", ".test.ts");
  expect(names.filter((name) => !pages.includes(`<<< @/../examples/recipes/${name}.ts\n`))).toEqual(
    [],
  );
  expect(names.filter((name) => !tests.includes(`"${name}"`))).toEqual([]);
});

test("each program of examples/migrate is shown on a page", () => {
  const pages = read("docs/migrate", ".md");
  const files = fs
    .readdirSync(path.join(ROOT, "examples/migrate"), { recursive: true, encoding: "utf8" })
    .filter((file) => /\.(ts|mjs)$/.test(file));
  expect(files).toHaveLength(10);
  expect(files.filter((file) => !pages.includes(`<<< @/../examples/migrate/${file}`))).toEqual([]);
});

/** Everything in the files of a folder that end in `end`. */
function read(folder: string, end: string): string {
  const dir = path.join(ROOT, folder);
  const files = fs.readdirSync(dir).filter((file) => file.endsWith(end));
  return files.map((file) => fs.readFileSync(path.join(dir, file), "utf8")).join("\n");
}
