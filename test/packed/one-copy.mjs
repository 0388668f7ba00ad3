// For each entry point given as an argument: `import` has every name that `require()` has, with the same value.
import { createRequire } from "node:module";
import process from "node:process";

const require = createRequire(import.meta.url);
for (const entry of process.argv.slice(2)) {
  const required = require(entry);
  const imported = await import(entry);
  const names = Object.keys(required);
  if (names.length === 0) throw new Error(`${entry} exports nothing`);
  for (const name of names) {
    if (imported[name] !== required[name]) throw new Error(`${entry} has two copies of ${name}`);
  }
}
