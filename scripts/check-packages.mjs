// Packs every package and checks the tarballs the way an application meets them: what is in them, what
// publint and attw say, and whether they install, load, compile and run in projects of their own.
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";

const root = path.resolve(import.meta.dirname, "..");
const work = fs.mkdtempSync(path.join(os.tmpdir(), "tidewire-packed-"));
const binary = (name) => path.join(root, "node_modules", ".bin", name);
let passed = 0;
let failed = 0;

const tarballs = pack();
for (const { name, file } of tarballs) {
  check(`${name}: contents`, () => checkContents(file));
  check(`${name}: publint`, () => run(binary("publint"), ["run", file, "--strict"]));
  check(`${name}: attw`, () => run(binary("attw"), [file]));
}
// One project as the READMEs make it, one with Express's types, one with the compiler before this one.
checkProject("untyped", { typescript: typescriptVersion() }, ["untyped.ts"]);
checkProject("typed", { typescript: typescriptVersion(), ...expressTypes() }, [
  "esm.ts",
  "commonjs.cts",
]);
checkProject("typescript-5.9", { typescript: "~5.9.3", ...expressTypes() }, [
  "esm.ts",
  "commonjs.cts",
]);

fs.rmSync(work, { recursive: true, force: true });
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;

/** Packs with pnpm, which turns `workspace:^` into versions and adds the root's LICENSE. */
function pack() {
  const folder = path.join(root, "packages");
  return fs
    .readdirSync(folder)
    .filter((entry) => fs.existsSync(path.join(folder, entry, "package.json")))
    .map((entry) => {
      const output = run(
        "npx",
        ["-y", "pnpm@10", "pack", "--json", "--pack-destination", work],
        path.join(folder, entry),
      );
      const { name, filename } = JSON.parse(output);
      return {
        name,
        file: path.resolve(work, filename),
        entries: entriesOf(path.join(folder, entry)),
      };
    });
}

/** What the package of a folder lets be imported: `@tidewire/core/log`. */
function entriesOf(folder) {
  const manifest = JSON.parse(fs.readFileSync(path.join(folder, "package.json"), "utf8"));
  return Object.keys(manifest.exports)
    .filter((entry) => entry !== "./package.json")
    .map((entry) => path.posix.join(manifest.name, entry));
}

function checkContents(file) {
  const folder = fs.mkdtempSync(path.join(work, "contents-"));
  run("tar", ["-xzf", file, "-C", folder]);
  const top = path.join(folder, "package");
  const files = fs
    .readdirSync(top, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(top, path.join(entry.parentPath, entry.name)));

  for (const wanted of ["LICENSE", "README.md", "dist/index.js", "dist/index.d.ts"]) {
    if (!files.includes(wanted)) throw new Error(`${wanted} is missing`);
  }
  const belongs =
    /^(LICENSE|README\.md|package\.json|src\/[\w/-]+\.ts|dist\/[\w/-]+\.(d\.ts|js)(\.map)?)$/;
  const strays = files.filter((name) => !belongs.test(name));
  if (strays.length > 0) throw new Error(`does not belong here: ${strays.join(", ")}`);

  for (const map of files.filter((name) => name.endsWith(".map"))) {
    const { sources } = JSON.parse(fs.readFileSync(path.join(top, map), "utf8"));
    for (const source of sources) {
      const resolved = path.join(path.dirname(map), source);
      if (!files.includes(resolved)) throw new Error(`${map} points at ${resolved}: missing`);
    }
  }
  if (fs.readFileSync(path.join(top, "package.json"), "utf8").includes("workspace:")) {
    throw new Error("package.json has a workspace: version");
  }
}

/** Installs the tarballs into a new project, loads them both ways, compiles the programs and runs them. */
function checkProject(title, devDependencies, programs) {
  const folder = path.join(work, title);
  const packages = Object.fromEntries(tarballs.map(({ name, file }) => [name, `file:${file}`]));
  const manifest = {
    private: true,
    type: "module",
    dependencies: { ...packages, express: "^5.0.0", fastify: "^5.0.0" },
    devDependencies,
    // Without this npm would look for the core, on which the others depend, in the registry.
    overrides: { "@tidewire/core": "$@tidewire/core" },
  };
  const tsconfig = {
    compilerOptions: { target: "es2022", module: "nodenext", strict: true, skipLibCheck: false },
    files: [...programs, ...(devDependencies["@types/express"] ? [] : ["express.d.ts"])],
  };
  fs.mkdirSync(folder);
  fs.writeFileSync(path.join(folder, "package.json"), JSON.stringify(manifest));
  fs.writeFileSync(path.join(folder, "tsconfig.json"), JSON.stringify(tsconfig));
  fs.writeFileSync(path.join(folder, "express.d.ts"), 'declare module "express";\n');
  for (const program of programs) {
    fs.copyFileSync(path.join(root, "test", "packed", program), path.join(folder, program));
  }

  const isInstalled = check(`${title}: npm install`, () =>
    run("npm", ["install", "--no-audit", "--no-fund", "--no-package-lock"], folder),
  );
  if (!isInstalled) return;
  for (const name of tarballs.flatMap(({ entries }) => entries)) {
    check(`${title}: import("${name}")`, () => load(`await import("${name}")`, "module", folder));
    check(`${title}: require("${name}")`, () => load(`require("${name}")`, "commonjs", folder));
  }
  const isCompiled = check(`${title}: tsc`, () => run("npx", ["tsc"], folder));
  if (!isCompiled) return;
  for (const program of programs) {
    const compiled = program.replace(/\.(c?)ts$/, ".$1js");
    check(`${title}: node ${compiled}`, () => run(process.execPath, [compiled], folder));
  }
}

function load(expression, type, folder) {
  const code = `if (Object.keys(${expression}).length === 0) throw new Error("exports nothing")`;
  run(process.execPath, [`--input-type=${type}`, "--eval", code], folder);
}

function typescriptVersion() {
  return rootManifest().devDependencies.typescript;
}

function expressTypes() {
  return {
    "@types/express": rootManifest().devDependencies["@types/express"],
    "@types/node": rootManifest().devDependencies["@types/node"],
  };
}

function rootManifest() {
  return JSON.parse(fs.readFileSync(path.join(root, "package.json"), "utf8"));
}

function check(title, test) {
  try {
    test();
    passed += 1;
    console.log(`ok   ${title}`);
    return true;
  } catch (error) {
    failed += 1;
    console.log(`FAIL ${title}\n${error.message}\n${error.stdout ?? ""}${error.stderr ?? ""}`);
    return false;
  }
}

function run(command, args, cwd = root) {
  return execFileSync(command, args, {
    cwd,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
    timeout: 180_000,
  });
}
