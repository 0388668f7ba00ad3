import { withoutComments } from "./sources.js";
import type { Source } from "./sources.js";

/** An import of a source file, a re-export or a type import included. */
export interface Import {
  /** What stands between the quotes. */
  readonly from: string;
  /** `true` if nothing of it is left at run time. */
  readonly isType: boolean;
}

const STATEMENT = /^\s*(?:import|export)\s+(type\s)?[^"';=()]*?from\s*"([^"]+)"/gm;
const SIDE_EFFECT = /^\s*import\s*"([^"]+)"/gm;
/** `await import("x")` and the type `import("x").Y`, which look alike: taken for a value. */
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
 * Checks that imports go strictly down a list of layers, or sideways without a cycle.
 *
 * @param sources - All files of a package.
 * @param layers - Names of files, lowest layer first.
 * @returns A sentence for each fault; none if all is well.
 */
export function findLayerFaults(
  sources: readonly Source[],
  layers: readonly (readonly string[])[],
): string[] {
  const layerOf = new Map(layers.flatMap((names, layer) => names.map((name) => [name, layer])));
  const faults: string[] = [];
  const sideways = new Map<string, string[]>();
  for (const source of sources) {
    const own = layerOf.get(source.name);
    if (own === undefined) {
      faults.push(`${source.name} has no place in the list of layers`);
      continue;
    }
    for (const { from } of importsOf(source)) {
      if (!from.startsWith(".")) continue;
      const target = from.replace(/^\.\//, "").replace(/\.js$/, "");
      const other = layerOf.get(target);
      if (other === undefined) faults.push(`${source.name} imports ${from}, which is in no layer`);
      else if (other > own) faults.push(`${source.name} imports ${target}, which is above it`);
      else if (other === own) {
        sideways.set(source.name, [...(sideways.get(source.name) ?? []), target]);
      }
    }
  }
  return [...faults, ...findCycles(sideways)];
}

/** Names each file that reaches itself by imports within its layer. */
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
    .map((name) => `${name} imports itself through its own layer`);
}
