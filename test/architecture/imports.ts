import path from "node:path";
import { withoutComments } from "./sources.js";
import type { Source } from "./sources.js";

/** An import of a source file, including re-exports and type imports. */
export interface Import {
  /** Text between the quotes. */
  readonly from: string;
  /** `true` if it disappears at run time. */
  readonly isType: boolean;
}

const STATEMENT = /^\s*(?:import|export)\s+(type\s)?[^"';=()]*?from\s*"([^"]+)"/gm;
const SIDE_EFFECT = /^\s*import\s*"([^"]+)"/gm;
/** `await import("x")` and the type `import("x").Y` look alike: both are treated as values. */
const CALL = /\bimport\s*\(\s*"([^"]+)"/g;

/** Finds the imports of a source. */
export function importsOf({ text }: Source): Import[] {
  const code = withoutComments(text);
  return [
    ...[...code.matchAll(STATEMENT)].map(([, type, from]) => ({
      from: from ?? "",
      isType: type !== undefined,
    })),
    ...[...code.matchAll(SIDE_EFFECT), ...code.matchAll(CALL)].map(([, from]) => ({
      from: from ?? "",
      isType: false,
    })),
  ];
}

/**
 * Checks that imports point up a list of folders, or stay within a folder without forming a cycle.
 *
 * @param sources - All files of a package, named by their path: `delivery/window`.
 * @param folders - Names of folders and top-level files, in the order of the architecture: each may import those before
 *   it.
 * @returns A sentence for each fault; empty if there are none.
 */
export function findLayerFaults(sources: readonly Source[], folders: readonly string[]): string[] {
  const placeOf = (name: string): number => folders.indexOf(folderOf(name));
  const names = new Set(sources.map(({ name }) => name));
  const faults: string[] = [];
  const within = new Map<string, string[]>();
  for (const source of sources) {
    if (placeOf(source.name) === -1) {
      faults.push(`${source.name} is not in the list of folders`);
      continue;
    }
    for (const { from } of importsOf(source)) {
      if (!from.startsWith(".")) continue;
      const target = path.posix.join(path.posix.dirname(source.name), from).replace(/\.js$/, "");
      if (!names.has(target)) faults.push(`${source.name} imports ${from}, which does not exist`);
      else if (placeOf(target) > placeOf(source.name)) {
        faults.push(`${source.name} imports ${target}, which comes after it`);
      } else if (folderOf(target) === folderOf(source.name)) {
        within.set(source.name, [...(within.get(source.name) ?? []), target]);
      }
    }
  }
  return [...faults, ...findCycles(within)];
}

/** The top-level folder of a file; a top-level file counts as its own folder. */
export function folderOf(name: string): string {
  return name.split("/")[0] ?? name;
}

/** Names each file that reaches itself through imports within its folder. */
function findCycles(imports: ReadonlyMap<string, readonly string[]>): string[] {
  const reaches = (from: string, to: string, seen: Set<string>): boolean =>
    (imports.get(from) ?? []).some((next) => {
      if (next === to) return true;
      if (seen.has(next)) return false;
      seen.add(next);
      return reaches(next, to, seen);
    });
  return [...imports.keys()]
    .filter((name) => reaches(name, name, new Set()))
    .map((name) => `${name} imports itself through its own folder`);
}
