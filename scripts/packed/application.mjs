// Builds an application that has the packed packages installed, with programs in both CommonJS and ES modules.
import fs from "node:fs";
import path from "node:path";
import { install, manifestWith } from "./tarballs.mjs";

/** Folders of the application, by module format. */
export const FORMATS = { commonjs: "cjs", module: "esm" };

/** The programs to run in each folder. Those in CommonJS do without packages that are only ES modules. */
export const PROGRAMS = {
  cjs: ["entries", "streams", "testing"],
  esm: ["entries", "streams", "testing", "client"],
};

/**
 * Installs the tarballs and writes the programs.
 *
 * @returns The application: its `folder` and all `entries` that have a CommonJS build.
 */
export async function makeApplication(folder, tarballs, sources, devDependencies) {
  await install(folder, manifestWith(tarballs, { devDependencies }));
  const entriesOf = (some) => some.flatMap((tarball) => tarball.entries);
  const entries = entriesOf(tarballs.filter(({ isModule }) => !isModule));
  for (const [type, name] of Object.entries(FORMATS)) {
    const target = path.join(folder, name);
    fs.mkdirSync(target);
    fs.writeFileSync(path.join(target, "package.json"), JSON.stringify({ type }));
    fs.writeFileSync(
      path.join(target, "entries.ts"),
      importAll(type === "module" ? entriesOf(tarballs) : entries),
    );
    const copied = PROGRAMS[name].filter((program) => program !== "entries");
    for (const program of [...copied.map((one) => `${one}.ts`), "typed.ts", "one-copy.mjs"]) {
      fs.copyFileSync(path.join(sources, program), path.join(target, program));
    }
  }
  return { folder, entries };
}

/** A program that imports every entry point and fails if one has no exports. Under Jest it is a test. */
function importAll(entries) {
  return [
    ...entries.map((entry, index) => `import * as entry${index} from "${entry}";`),
    "const entries: Record<string, object> = {",
    ...entries.map((entry, index) => `  "${entry}": entry${index},`),
    "};",
    "function checkEntries(): void {",
    "  for (const [name, entry] of Object.entries(entries)) {",
    '    const exported = Object.keys(entry).filter((key) => key !== "default");',
    '    if (exported.length === 0) throw new Error(name + " exports nothing");',
    "  }",
    "}",
    "declare const test: ((name: string, body: () => void) => void) | undefined;",
    'if (typeof test === "undefined") checkEntries();',
    'else test("every entry point loads", checkEntries);',
    "",
  ].join("\n");
}
