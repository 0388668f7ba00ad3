// Packs every package and checks the tarballs as an application would use them: their contents, publint and attw, and
// whether they install, compile and run in separate projects and in every module loader. `--all` checks all supported
// versions of TypeScript, not only those of CI.
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { makeApplication } from "./packed/application.mjs";
import { check, counts, printTable, run } from "./packed/checks.mjs";
import { checkLoaders } from "./packed/loaders.mjs";
import { checkModuleSettings } from "./packed/module-settings.mjs";
import { install, manifestWith, packAll } from "./packed/tarballs.mjs";

/** Files besides the code, by package. */
const FILES = { "@tidewire/metrics": ["alert-rules.yml", "grafana-dashboard.json"] };

const root = path.resolve(import.meta.dirname, "..");
const programs = path.join(root, "test", "packed");
const work = fs.mkdtempSync(path.join(os.tmpdir(), "tidewire-packed-"));
const binary = (name) => path.join(root, "node_modules", ".bin", name);
const { devDependencies } = JSON.parse(fs.readFileSync(path.join(root, "package.json"), "utf8"));
const typescript = { typescript: devDependencies.typescript };
const types = {
  "@types/express": devDependencies["@types/express"],
  "@types/node": devDependencies["@types/node"],
};

const tarballs = await packAll(root, work);
const [tables] = await Promise.all([checkModules(), checkTarballs()]);

fs.rmSync(work, { recursive: true, force: true });
for (const table of tables) {
  console.log("");
  printTable(table);
}
console.log(`\n${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
process.exitCode = counts.failed === 0 ? 0 : 1;

async function checkModules() {
  const { react } = devDependencies;
  const application = await makeApplication(path.join(work, "app"), tarballs, programs, {
    ...types,
    react,
  });
  return [
    await checkLoaders(application, binary("tsc")),
    await checkModuleSettings(application, process.argv.includes("--all")),
  ];
}

async function checkTarballs() {
  for (const { name, file, manifest, isModule } of tarballs) {
    await check(`${name}: contents`, () => checkContents(name, file));
    await check(`${name}: types for node10`, () => checkTypesVersions(manifest));
    await check(`${name}: publint`, () => run(binary("publint"), ["run", file, "--strict"], root));
    await check(`${name}: attw`, () =>
      run(binary("attw"), [file, ...(isModule ? ["--profile", "esm-only"] : [])], root),
    );
  }
  // One project as in the READMEs, and one with Express's types.
  await checkProject("untyped", typescript, ["untyped.ts"]);
  await checkProject("typed", { ...typescript, ...types }, ["esm.ts", "client.ts", "commonjs.cts"]);
}

async function checkContents(name, file) {
  const folder = fs.mkdtempSync(path.join(work, "contents-"));
  await run("tar", ["-xzf", file, "-C", folder], work);
  const top = path.join(folder, "package");
  const files = fs
    .readdirSync(top, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(top, path.join(entry.parentPath, entry.name)));

  const others = FILES[name] ?? [];
  for (const wanted of ["LICENSE", "README.md", "dist/index.js", "dist/index.d.ts", ...others]) {
    if (!files.includes(wanted)) throw new Error(`${wanted} is missing`);
  }
  const belongs =
    /^(LICENSE|README\.md|package\.json|src\/[\w/-]+\.ts|dist\/[\w/-]+\.(d\.ts|js)(\.map)?)$/;
  const strays = files.filter((one) => !belongs.test(one) && !others.includes(one));
  if (strays.length > 0) throw new Error(`does not belong here: ${strays.join(", ")}`);

  for (const map of files.filter((one) => one.endsWith(".map"))) {
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

/** Compilers with the setting `node10` do not read `exports`, so `types` and `typesVersions` have to name the same files. */
function checkTypesVersions({ exports, types: main, typesVersions }) {
  for (const [entry, target] of Object.entries(exports)) {
    if (entry === "./package.json") continue;
    const declared = entry === "." ? main : typesVersions?.["*"]?.[entry.slice(2)]?.[0];
    if (declared !== target.types) throw new Error(`${entry}: ${declared} is not ${target.types}`);
  }
}

/** Installs the tarballs into a new project, then compiles and runs the programs. */
async function checkProject(title, dependencies, sources) {
  const folder = path.join(work, title);
  const manifest = manifestWith(tarballs, { type: "module", devDependencies: dependencies });
  const tsconfig = {
    compilerOptions: { target: "es2022", module: "nodenext", strict: true, skipLibCheck: false },
    files: [...sources, ...(dependencies["@types/express"] ? [] : ["express.d.ts"])],
  };
  if ((await check(`${title}: npm install`, () => install(folder, manifest))) !== "ok") return;
  fs.writeFileSync(path.join(folder, "tsconfig.json"), JSON.stringify(tsconfig));
  fs.writeFileSync(path.join(folder, "express.d.ts"), 'declare module "express";\n');
  for (const source of sources) {
    fs.copyFileSync(path.join(programs, source), path.join(folder, source));
  }
  if ((await check(`${title}: tsc`, () => run("npx", ["tsc"], folder))) !== "ok") return;
  for (const source of sources) {
    const compiled = source.replace(/\.(c?)ts$/, ".$1js");
    await check(`${title}: node ${compiled}`, () => run(process.execPath, [compiled], folder));
  }
}
