// Builds the documentation site: the reference from the doc comments, then the pages. A warning fails, and so does a dead link.
import { spawn } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import { checkAnchors } from "./docs/anchors.mjs";
import { writeApi } from "./docs/api.mjs";
import { ROOT } from "./docs/blocks.mjs";

/** VitePress and Vite print warnings and continue. */
const WARNING = /\(!\)|\bwarn(ing)?\b|is not loaded|falling back/i;

const { pages, symbols } = await writeApi();
console.log(`API reference: ${symbols} exported symbols of ${pages} entry points`);

const vitepress = path.join(ROOT, "node_modules/.bin/vitepress");
const child = spawn(vitepress, ["build", "docs"], {
  cwd: ROOT,
  stdio: ["ignore", "pipe", "pipe"],
  env: { ...process.env, NO_COLOR: "1" },
});
let output = "";
for (const stream of [child.stdout, child.stderr]) {
  stream.setEncoding("utf8").on("data", (text) => {
    output += text;
    process.stdout.write(text);
  });
}
const [status] = await once(child, "close");
const warnings = output.split("\n").filter((line) => WARNING.test(line));
for (const line of warnings) console.error(`warning: ${line.trim()}`);
if (status !== 0) process.exit(1);

const anchors = checkAnchors(path.join(ROOT, "docs/.vitepress/dist"));
for (const fault of anchors.faults) console.error(fault);
console.log(`${anchors.count} links to headings, ${anchors.faults.length} dead`);
process.exitCode = warnings.length + anchors.faults.length === 0 ? 0 : 1;
