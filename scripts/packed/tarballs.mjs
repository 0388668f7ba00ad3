// Packs every package and lists the entry points that an application can import.
import fs from "node:fs";
import path from "node:path";
import { run } from "./checks.mjs";

/**
 * Packs with pnpm, which turns `workspace:^` into versions and adds the root's LICENSE.
 *
 * @returns For each package `{ name, file, entries, manifest, isModule }`; `entries` in import form: `@tidewire/core/log`.
 *   A package that `isModule` has no CommonJS build: programs in CommonJS do not use it.
 */
export async function packAll(root, destination) {
  const packages = path.join(root, "packages");
  const tarballs = [];
  for (const name of fs.readdirSync(packages)) {
    const folder = path.join(packages, name);
    if (!fs.existsSync(path.join(folder, "package.json"))) continue;
    const output = await run(
      "npx",
      ["-y", "pnpm@10", "pack", "--json", "--pack-destination", destination],
      folder,
    );
    const { filename } = JSON.parse(output);
    const manifest = JSON.parse(fs.readFileSync(path.join(folder, "package.json"), "utf8"));
    tarballs.push({
      name: manifest.name,
      file: path.resolve(destination, filename),
      entries: Object.keys(manifest.exports)
        .filter((entry) => entry !== "./package.json")
        .map((entry) => path.posix.join(manifest.name, entry)),
      manifest,
      isModule: manifest.type === "module",
    });
  }
  return tarballs;
}

/** Builds the package.json of an application that depends on the tarballs. */
export function manifestWith(tarballs, rest) {
  return {
    private: true,
    ...rest,
    dependencies: {
      ...Object.fromEntries(tarballs.map(({ name, file }) => [name, `file:${file}`])),
      express: "^5.0.0",
      fastify: "^5.0.0",
    },
    // Without this, npm would look in the registry for the packages on which others depend.
    overrides: { "@tidewire/core": "$@tidewire/core", "@tidewire/runs": "$@tidewire/runs" },
  };
}

/** Writes a package.json into a new folder and installs its dependencies. */
export async function install(folder, manifest) {
  fs.mkdirSync(folder, { recursive: true });
  fs.writeFileSync(path.join(folder, "package.json"), JSON.stringify(manifest));
  await run("npm", ["install", "--no-audit", "--no-fund", "--no-package-lock"], folder);
}
