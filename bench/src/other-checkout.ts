/** Runs the Tidewire subjects a second time, with the packages of another checkout. */

import { execFile } from "node:child_process";
import { existsSync, rmSync } from "node:fs";
import { cp, mkdtemp, mkdir, readdir, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { promisify } from "node:util";

/** Scope of our packages inside node_modules. */
const SCOPE = "@tidewire";
/** This benchmark: its compiled programs and its dependencies. */
const BENCH = fileURLToPath(new URL("../", import.meta.url));

/** Another checkout of this repository, installed and built. */
export interface OtherCheckout {
  /** Name of the folder; follows the `@` in names of subjects. */
  readonly label: string;
  /** Commit of this checkout and of the other one, with `-dirty` if files were changed. */
  readonly commits: Readonly<Record<"this" | "other", string>>;
  /** Folder of the programs that use its packages. */
  readonly programs: URL;
}

/** The opened checkout; `undefined` if there is none. Set before the first suite runs. */
let opened: OtherCheckout | undefined;

/**
 * Prepares a copy of this benchmark's programs that uses another checkout's packages. The subjects, the frameworks and
 * the measuring code are the same files.
 *
 * Node resolves a module from the location of the importing file. A loader hook would avoid the copy, but would add a
 * thread to the measured processes.
 *
 * @param folder - The other checkout. Its packages must have the API that the subjects use.
 * @throws If its packages are not installed and built.
 */
export async function openCheckout(folder: string): Promise<OtherCheckout> {
  const packages = join(resolve(folder), "bench", "node_modules", SCOPE);
  for (const name of await readdir(join(BENCH, "node_modules", SCOPE))) {
    // An older checkout may not have it: then it has no twin of the subjects that use it.
    if (!existsSync(join(packages, name))) continue;
    if (existsSync(join(packages, name, "dist", "index.js"))) continue;
    throw new Error(`${SCOPE}/${name} is not installed and built in ${folder}`);
  }
  const copy = await mkdtemp(join(tmpdir(), "tidewire-bench-"));
  process.once("exit", () => rmSync(copy, { recursive: true, force: true }));
  await cp(join(BENCH, "dist"), join(copy, "dist"), { recursive: true });
  await writeFile(join(copy, "package.json"), '{ "type": "module" }\n');
  await mkdir(join(copy, "node_modules"));
  for (const name of await readdir(join(BENCH, "node_modules"))) {
    if (name.startsWith(".")) continue;
    const target = name === SCOPE ? packages : join(BENCH, "node_modules", name);
    await symlink(target, join(copy, "node_modules", name));
  }
  opened = {
    label: basename(resolve(folder)),
    commits: { this: await commitOf(BENCH), other: await commitOf(folder) },
    programs: pathToFileURL(join(copy, "dist/")),
  };
  return opened;
}

/**
 * @param subject - Any name of a subject.
 * @param file - Name of a program of this benchmark.
 * @returns Location of the program that measures the subject.
 */
export function programFor(subject: string, file: string): URL {
  const isOther = opened !== undefined && subject.endsWith(`@${opened.label}`);
  return new URL(file, isOther ? opened?.programs : new URL(".", import.meta.url));
}

/** @returns The measured commit of this checkout, with `-dirty` if files were changed; `undefined` without git. */
export async function readCommit(): Promise<string | undefined> {
  try {
    return await commitOf(BENCH);
  } catch {
    return undefined;
  }
}

async function commitOf(folder: string): Promise<string> {
  const { stdout } = await promisify(execFile)("git", ["describe", "--always", "--dirty"], {
    cwd: folder,
  });
  return stdout.trim();
}
