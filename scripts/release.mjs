// Publishes every package whose version has not been published yet. `--dry-run` shows what would be published
// (packages, versions, files, sizes) without contacting a registry.
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { findPages } from "./docs/blocks.mjs";
import { run } from "./packed/checks.mjs";
import { packAll } from "./packed/tarballs.mjs";
import { hasVersion, readChangesets } from "./release/changelog.mjs";

const root = path.resolve(import.meta.dirname, "..");

const obstacles = findObstacles(await showTarballs());
for (const obstacle of obstacles) console.log(`Not ready: ${obstacle}`);
if (process.argv.includes("--dry-run")) console.log("Dry run: nothing was published.");
else process.exitCode = obstacles.length === 0 ? publish() : 1;

/** Packs every package as it would be published and prints the contents. Resolves to the distinct versions. */
async function showTarballs() {
  const work = fs.mkdtempSync(path.join(os.tmpdir(), "tidewire-release-"));
  const tarballs = await packAll(root, work);
  let total = 0;
  const versions = new Set();
  for (const { name, file } of tarballs) {
    const unpacked = path.join(work, path.basename(file, ".tgz"));
    fs.mkdirSync(unpacked);
    await run("tar", ["-xzf", file, "-C", unpacked, "--strip-components=1"], work);
    const files = listFiles(unpacked);
    const packedSize = fs.statSync(file).size;
    const unpackedSize = files.reduce((sum, { size }) => sum + size, 0);
    total += packedSize;

    // The packed manifest, not the one in the tree: pnpm rewrites it.
    const manifest = readJson(path.join(unpacked, "package.json"));
    const { access, provenance } = manifest.publishConfig ?? {};
    versions.add(manifest.version);
    console.log(`${name} ${manifest.version}`);
    console.log(
      `  ${files.length} files, ${kilobytes(packedSize)} packed, ${kilobytes(unpackedSize)} unpacked; ` +
        `${access ?? "restricted"}, ${provenance === true ? "with" : "without"} provenance`,
    );
    for (const one of files) console.log(`  ${kilobytes(one.size).padStart(9)}  ${one.name}`);
    console.log("");
  }
  console.log(`${tarballs.length} packages, ${kilobytes(total)} packed`);
  fs.rmSync(work, { recursive: true });
  return versions;
}

/** Lists what must be done before these versions can be published. */
function findObstacles(versions) {
  const missing = [...versions].filter((version) => !hasVersion(version));
  const waiting = readChangesets().length;
  return [
    ...missing.map((version) => `CHANGELOG.md has no section for ${version}: run release:version`),
    ...findPages()
      .filter((page) => /\bnot on npm yet\b/i.test(fs.readFileSync(path.join(root, page), "utf8")))
      .map((page) => `${page} says that the packages are not on npm yet`),
    ...(waiting > 0 ? [`${waiting} changesets wait for a version: run release:version`] : []),
  ];
}

/**
 * Publishes in the order of dependencies. Skips versions that are already published, so an interrupted release can be
 * repeated.
 */
function publish() {
  const args = ["-y", "pnpm@10", "--recursive", "--filter", "./packages/*", "publish"];
  // A release runs on a detached commit, which git cannot compare with a remote branch.
  const { status } = spawnSync("npx", [...args, "--no-git-checks"], {
    cwd: root,
    stdio: "inherit",
  });
  return status ?? 1;
}

function listFiles(folder) {
  return fs
    .readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name))
    .map((file) => ({ name: path.relative(folder, file), size: fs.statSync(file).size }))
    .toSorted((one, other) => (one.name < other.name ? -1 : 1));
}

function readJson(file) {
  return JSON.parse(fs.readFileSync(file, "utf8"));
}

function kilobytes(bytes) {
  return `${(bytes / 1_000).toFixed(1)} kB`;
}
