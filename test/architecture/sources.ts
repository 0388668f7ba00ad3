import { readFileSync, readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** One source file. */
export interface Source {
  /** File name without extension: `node-sink`. */
  readonly name: string;
  readonly text: string;
}

/** All packages, each with a folder `src`. */
export const PACKAGES: readonly string[] = readdirSync(repository("packages"));

/**
 * Reads the sources of a package.
 *
 * @param name - The package's folder: `core`.
 */
export function readSources(name: string): Source[] {
  const folder = repository(`packages/${name}/src`);
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts"))
    .map((file) => ({
      name: file.slice(0, -".ts".length),
      text: readFileSync(`${folder}/${file}`, "utf8"),
    }));
}

/**
 * Reads a file of the repository.
 *
 * @param path - From the root: `docs/reference/errors.md`.
 */
export function readText(path: string): string {
  return readFileSync(repository(path), "utf8");
}

/** Removes comments from a source. Leaves strings and the number of lines unchanged. */
export function withoutComments(text: string): string {
  // Strings, templates and regular expressions first: text inside them that looks like a comment is not one.
  const token =
    /"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\.)*`|(?<=[=(,:]\s*)\/(?![/*])(?:[^/\\\n[]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/|\/\/[^\n]*|\/\*[\s\S]*?\*\//g;
  return text.replaceAll(token, (found) =>
    found.startsWith("//") || found.startsWith("/*") ? found.replaceAll(/[^\n]/g, "") : found,
  );
}

function repository(path: string): string {
  return fileURLToPath(new URL(`../../${path}`, import.meta.url));
}
