// Reads changesets, and reads and writes the versions of CHANGELOG.md. Changesets alone would write a changelog for each
// package; all packages share one version and one changelog.
import fs from "node:fs";
import path from "node:path";
import { parse } from "yaml";

const root = path.resolve(import.meta.dirname, "../..");
const changelog = path.join(root, "CHANGELOG.md");
const folder = path.join(root, ".changeset");

/** Sections that a version may have, in order. */
const SECTIONS = [
  ["major", "Major changes"],
  ["minor", "Minor changes"],
  ["patch", "Patch changes"],
];

/** Reads the pending changesets: `{ file, releases, summary }`; `releases` maps packages to kinds of change. */
export function readChangesets() {
  return fs
    .readdirSync(folder)
    .filter((file) => file.endsWith(".md") && file !== "README.md")
    .toSorted()
    .map((file) => {
      const text = fs.readFileSync(path.join(folder, file), "utf8");
      const [, head, summary] = /^---\n([\s\S]*?)\n?---\n([\s\S]*)$/.exec(text) ?? [];
      if (head === undefined) throw new Error(`.changeset/${file} has no front matter`);
      return { file, releases: parse(head) ?? {}, summary: summary.trim() };
    });
}

/** Whether CHANGELOG.md has a section for a version. */
export function hasVersion(version) {
  return fs.readFileSync(changelog, "utf8").includes(`\n## ${version} - `);
}

/** Turns the section Unreleased into the section of the first version. */
export function nameUnreleased(version, date) {
  const text = fs.readFileSync(changelog, "utf8");
  if (!/^## Unreleased$/m.test(text)) throw new Error("CHANGELOG.md has no section Unreleased");
  fs.writeFileSync(changelog, text.replace(/^## Unreleased$/m, `## ${version} - ${date}`));
}

/** Writes a version's section from its changesets, above those of earlier versions. */
export function addVersion(version, date, changesets) {
  const text = fs.readFileSync(changelog, "utf8");
  const start = text.search(/^## /m);
  const section = `## ${version} - ${date}\n\n${describe(changesets)}\n\n`;
  fs.writeFileSync(changelog, text.slice(0, start) + section + text.slice(start));
}

/**
 * Lists the changes by kind, major first. A changeset is listed once, under its largest kind, with all its packages.
 */
function describe(changesets) {
  return SECTIONS.map(([kind, heading]) => {
    const items = changesets
      .filter(({ releases }) => greatestKind(releases) === kind)
      .map(({ releases, summary }) => {
        const names = Object.keys(releases).map((name) => `\`${name}\``);
        // The lines after the first belong to the same item.
        return `- ${names.join(", ")}: ${summary.replaceAll(/\n(?=.)/g, "\n  ")}`;
      });
    return items.length > 0 ? `### ${heading}\n\n${items.join("\n")}` : "";
  })
    .filter((text) => text !== "")
    .join("\n\n");
}

function greatestKind(releases) {
  return SECTIONS.map(([kind]) => kind).find((kind) => Object.values(releases).includes(kind));
}
