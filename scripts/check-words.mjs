// Looks for patterns of English that we avoid, in comments, names of tests, error messages and Markdown.
// scripts/words-allowed.json has the exceptions: a file, words of the sentence, and why they may stay.
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { PATTERNS } from "./words/patterns.mjs";
import { readProse } from "./words/prose.mjs";

const ROOT = path.resolve(import.meta.dirname, "..");
const ALLOWED = JSON.parse(fs.readFileSync(path.join(ROOT, "scripts/words-allowed.json"), "utf8"));
const READ = /\.(?:md|[cm]?ts|tsx|[cm]?js|py|sh|ya?ml)$|^\.ci\/run$/;
/** Pages generated from doc comments and strings, which are checked in the source; the patterns themselves; a lock file. */
const LEFT_OUT =
  /^docs\/(?:reference\/options|operate\/benchmarks)\.md$|^scripts\/words\/patterns\.mjs$|^pnpm-lock\.yaml$/;

const files = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard"], {
  cwd: ROOT,
  encoding: "utf8",
})
  .split("\n")
  .filter(
    (file) => READ.test(file) && !LEFT_OUT.test(file) && fs.existsSync(path.join(ROOT, file)),
  );

const used = new Set();
const hits = files.flatMap(findHits);
for (const { file, line, name, sentence, instead } of hits) {
  console.error(`${file}:${line}: ${name} (${instead}): ${sentence}`);
}
const unused = ALLOWED.filter((entry) => !used.has(entry));
for (const { file, text } of unused) {
  console.error(`scripts/words-allowed.json: no hit in ${file} has the words "${text}"`);
}
for (const [folder, count] of countByFolder())
  console.log(`${String(count).padStart(5)} ${folder}`);
console.log(`${files.length} files, ${PATTERNS.length} patterns, ${hits.length} hits`);
process.exitCode = hits.length + unused.length === 0 ? 0 : 1;

function findHits(file) {
  const whole = fs.readFileSync(path.join(ROOT, file), "utf8");
  // The table of words lists the words that we avoid.
  const text = file === "CONTRIBUTING.md" ? whole.replace(/\n## Words\n[\s\S]*/, "\n") : whole;
  return readProse(file, text).flatMap((paragraph) =>
    PATTERNS.filter(({ isOfTitles }) => isOfTitles !== false || !paragraph.isTitle).flatMap(
      ({ name, instead, expression }) =>
        [...paragraph.text.matchAll(expression)]
          .map(({ 0: found, index }) => index + found.search(/\w/))
          .map((index) => ({
            file,
            line: paragraph.lineAt(index),
            name,
            instead,
            sentence: sentenceAt(paragraph.raw, index),
          }))
          .filter((hit) => !isAllowed(hit)),
    ),
  );
}

function isAllowed({ file, sentence }) {
  const entry = ALLOWED.find((each) => file.startsWith(each.file) && sentence.includes(each.text));
  if (entry !== undefined) used.add(entry);
  return entry !== undefined;
}

/** The sentence around a place, cut to a readable length. */
function sentenceAt(text, index) {
  const start = text.lastIndexOf(". ", index - 1) + 1;
  const end = text.indexOf(". ", index + 2);
  return text
    .slice(start, end === -1 ? undefined : end + 1)
    .trim()
    .slice(0, 160);
}

function countByFolder() {
  const counts = new Map();
  for (const { file } of hits) {
    const [top, next = ""] = file.split("/");
    const folder = ["packages", "docs", "test"].includes(top) ? `${top}/${next}` : top;
    counts.set(folder, (counts.get(folder) ?? 0) + 1);
  }
  return [...counts].toSorted(([, one], [, other]) => other - one);
}
