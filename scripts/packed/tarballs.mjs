// Packs every package, and says what an application can import from it.
import fs from "node:fs";
import path from "node:path";
import { run } from "./checks.mjs";

/**
 * Packs with pnpm, which turns `workspace:^` into versions and adds the root's LICENSE.
 *
 * @returns For each package `{ name, file, entries, manifest }`; `entries` as they are imported: `@tidewire/core/log`.
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
    });
  }
  return tarballs;
}

/** Makes the package.json of an application that depends on the tarballs. */
export function manifestWith(tarballs, rest) {
  return {
    private: true,
    ...rest,
    dependencies: {
      ...Object.fromEntries(tarballs.map(({ name, file }) => [name, `file:${file}`])),
      express: "^5.0.0",
      fastify: "^5.0.0",
    },
    // Without this npm would look for the core, on which the others depend, in the registry.
    overrides: { "@tidewire/core": "$@tidewire/core" },
  };
}

/** Writes a package.json into a folder, which is made, and installs what it asks for. */
export async function install(folder, manifest) {
  fs.mkdirSync(folder, { recursive: true });
  fs.writeFileSync(path.join(folder, "package.json"), JSON.stringify(manifest));
  await run("npm", ["install", "--no-audit", "--no-fund", "--no-package-lock"], folder);
}
