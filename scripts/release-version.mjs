// Prepares the next version: changesets sets every package's number, and the changesets' texts become a section of
// CHANGELOG.md. Publishes nothing and commits nothing.
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { addVersion, hasVersion, nameUnreleased, readChangesets } from "./release/changelog.mjs";

const root = path.resolve(import.meta.dirname, "..");
const date = new Date().toISOString().slice(0, "2026-01-01".length);
const changesets = readChangesets();
const current = readVersion();

if (!hasVersion(current)) {
  // Changesets counts from a released version. The first release uses the number already in the packages.
  if (changesets.length > 0) {
    throw new Error(
      `${current} is not released yet: move ${changesets.map(({ file }) => `.changeset/${file}`).join(", ")} to CHANGELOG.md, section Unreleased`,
    );
  }
  nameUnreleased(current, date);
} else if (changesets.every(({ releases }) => Object.keys(releases).length === 0)) {
  throw new Error(`No changeset asks for a version after ${current}`);
} else {
  execFileSync(path.join(root, "node_modules", ".bin", "changeset"), ["version"], {
    cwd: root,
    stdio: "inherit",
  });
  addVersion(readVersion(), date, changesets);
}
console.log(`CHANGELOG.md and the packages have ${readVersion()}`);

/** All packages have the same version, which a test checks. */
function readVersion() {
  return JSON.parse(fs.readFileSync(path.join(root, "packages/core/package.json"), "utf8")).version;
}
