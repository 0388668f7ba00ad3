// Checks every code block of the READMEs and the docs: compiles, runs or parses it by its language.
// CONTRIBUTING.md lists the comments with which a page says what a block needs.
import fs from "node:fs";
import path from "node:path";
import { checkCaptures } from "./docs/captures.mjs";
import { CHECKS, NotInstalled, checkScriptNames } from "./docs/commands.mjs";
import { ROOT, findPages, readBlocks } from "./docs/blocks.mjs";
import { checkTypes } from "./docs/types.mjs";

/** Pages made from other files, which are compiled and run where they are. Each block has to be a part of one of them. */
const MADE_FROM = { "docs/clients/matrix.md": "test/clients" };
const COMPILED = new Set(["ts", "tsx", "js"]);
/** For reading only: drawings, grammars, messages (compared by test/architecture/messages.test.ts). */
const READ = new Set(["", "text", "http"]);

const faults = [];
const skipped = new Set();
const counts = {};

const pages = findPages();
const blocks = pages.flatMap(readBlocks);
for (const page of pages) checkPage(page);

const own = blocks.filter(({ page }) => MADE_FROM[page] === undefined);
const compiled = checkTypes(own.filter(({ language }) => COMPILED.has(language)));
faults.push(...compiled.faults);
count("compiled", compiled.count);

for (const block of blocks) {
  if (MADE_FROM[block.page] !== undefined) checkMade(block, MADE_FROM[block.page]);
  else if (!COMPILED.has(block.language)) checkOther(block);
}

const captures = await checkCaptures(own);
faults.push(...captures.faults);
for (const reason of captures.skipped) skipped.add(reason);
count("captures compared", captures.count);

for (const fault of faults) console.error(fault);
for (const reason of skipped) console.log(`skipped: ${reason}`);
const summary = Object.entries(counts).map(([what, number]) => `${number} ${what}`);
console.log(`${pages.length} pages, ${blocks.length} blocks: ${summary.join(", ")}`);
console.log(`${faults.length} faults`);
process.exitCode = faults.length === 0 ? 0 : 1;

/** Programs that a page includes exist, and so do the scripts that it names. */
function checkPage(page) {
  const text = fs.readFileSync(path.join(ROOT, page), "utf8");
  for (const fault of checkScriptNames(text)) faults.push(`${page}: ${fault}`);
  for (const [, from, file] of text.matchAll(/^<<< (@\/)?([^\s{#[]+)/gm)) {
    const folder = from === undefined ? path.dirname(page) : "docs";
    if (fs.existsSync(path.join(ROOT, folder, file))) count("included programs", 1);
    else faults.push(`${page}: includes ${file}, which does not exist`);
  }
}

/** Compares a block with the files that its page is made from. Indentation may differ. */
function checkMade({ page, line, code }, folder) {
  const isWithin = fs
    .readdirSync(path.join(ROOT, folder))
    .filter((name) => /\.(ts|py)$/.test(name))
    .some((name) =>
      trimLines(fs.readFileSync(path.join(ROOT, folder, name), "utf8")).includes(trimLines(code)),
    );
  if (isWithin) count("compared with their source", 1);
  else faults.push(`${page}:${line}: the block is in no file of ${folder}`);
}

function checkOther({ page, line, language, code, marks }) {
  const kind = marks.haproxy === undefined ? language : "haproxy";
  const check = CHECKS[kind];
  if (check === undefined) {
    if (READ.has(kind)) count("of plain text", 1);
    else faults.push(`${page}:${line}: no check for blocks of ${kind}`);
    return;
  }
  try {
    const fault = check(code);
    if (fault !== undefined) faults.push(`${page}:${line}: ${fault}`);
    count(`of ${kind}`, 1);
  } catch (error) {
    if (!(error instanceof NotInstalled)) throw error;
    skipped.add(`blocks of ${kind}: ${error.message} is not installed`);
  }
}

function count(what, number) {
  counts[what] = (counts[what] ?? 0) + number;
}

function trimLines(text) {
  return text.replaceAll(/^[ \t]+/gm, "");
}
