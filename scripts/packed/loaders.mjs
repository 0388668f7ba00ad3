// Runs an application's programs in every module loader: Node, Bun, Deno, Jest, ts-jest, an esbuild bundle.
import fs from "node:fs";
import path from "node:path";
import { FORMATS, PROGRAMS } from "./application.mjs";
import { Missing, check, run } from "./checks.mjs";
import { install } from "./tarballs.mjs";

const TSCONFIG = {
  target: "es2022",
  types: ["node"],
  strict: true,
  // For Express, whose types have no named export for it.
  esModuleInterop: true,
  skipLibCheck: true,
};

/** Jest depends on newer Node types, which old compilers cannot read. */
const NODE_TYPES = { "@types/node": "^20.19.0" };

/** `run` receives the application and the folder of the tool's own packages. */
const LOADERS = [
  { name: "Node", run: runPrograms(async () => [process.execPath]) },
  { name: "Node 20", run: runPrograms(async () => nodeOf("20")) },
  { name: "Bun", packages: { bun: "^1.4.5" }, run: runPrograms((tools) => binaryOf(tools, "bun")) },
  {
    name: "Deno",
    packages: { deno: "^2.9.6" },
    run: runPrograms(async (tools) => [...(await binaryOf(tools, "deno")), "run", "-A"]),
  },
  { name: "esbuild", packages: { esbuild: "^0.28.2" }, run: runBundle },
  { name: "Jest 29", packages: { jest: "^29.0.0" }, run: runJest },
  { name: "Jest 30", packages: { jest: "^30.0.0" }, run: runJest },
  {
    name: "ts-jest, Jest 29, TypeScript 5.4",
    packages: { jest: "^29.0.0", "ts-jest": "^29.4.0", typescript: "~5.4.0", ...NODE_TYPES },
    run: runTsJest,
  },
  {
    name: "ts-jest, Jest 30, TypeScript 6.0",
    packages: { jest: "^30.0.0", "ts-jest": "^29.4.0", typescript: "~6.0.0", ...NODE_TYPES },
    run: runTsJest,
  },
];

/**
 * Compiles the programs and runs them in each loader.
 *
 * @param tsc - The compiler.
 * @returns A table with a row for each loader and a column for each format.
 */
export async function checkLoaders(application, tsc) {
  await check("programs compile to both formats", () => compilePrograms(application.folder, tsc));
  const table = [["loader", "result"]];
  for (const { name, packages, run: runLoader } of LOADERS) {
    const tools = path.join(application.folder, name.replaceAll(/\W+/g, "-").toLowerCase());
    const result = await check(name, async () => {
      if (packages !== undefined) await installTools(tools, packages);
      await runLoader(application, tools);
    });
    table.push([name, result]);
  }
  return table;
}

/** Compiles each program twice: to CommonJS in one folder, to an ES module in the other. */
async function compilePrograms(folder, tsc) {
  const project = path.join(folder, "tsconfig.json");
  const files = Object.entries(PROGRAMS).flatMap(([name, programs]) =>
    programs.map((program) => `${name}/${program}.ts`),
  );
  const compilerOptions = { ...TSCONFIG, module: "nodenext" };
  fs.writeFileSync(project, JSON.stringify({ compilerOptions, files }));
  await run(tsc, ["--project", project], folder);
}

async function installTools(folder, packages) {
  try {
    await install(folder, { private: true, devDependencies: packages });
  } catch (error) {
    throw new Missing(`cannot be installed here: ${error.message}`, { cause: error });
  }
}

/** Runs the programs in both formats, and `import` beside `require()` in one process. */
function runPrograms(findCommand) {
  return async ({ folder, entries }, tools) => {
    const [command, ...args] = await findCommand(tools);
    for (const [name, programs] of Object.entries(PROGRAMS)) {
      for (const program of programs) {
        await run(command, [...args, path.join(name, `${program}.js`)], folder);
      }
    }
    await run(command, [...args, path.join(FORMATS.module, "one-copy.mjs"), ...entries], folder);
  };
}

async function nodeOf(major) {
  if (process.versions.node.startsWith(`${major}.`)) return [process.execPath];
  return ["npx", "-y", `node@${major}`];
}

async function binaryOf(tools, name) {
  const binary = path.join(tools, "node_modules", ".bin", name);
  try {
    await run(binary, ["--version"], tools);
  } catch (error) {
    throw new Missing(`has no program for this machine: ${error.message}`, { cause: error });
  }
  return [binary];
}

/** Builds one CommonJS file and runs it without any packages. */
async function runBundle({ folder }, tools) {
  const target = fs.mkdtempSync(path.join(folder, "..", "bundle-"));
  for (const program of ["entries", "streams"]) {
    const bundle = path.join(target, `${program}.cjs`);
    await run(
      path.join(tools, "node_modules", ".bin", "esbuild"),
      [path.join(FORMATS.commonjs, `${program}.ts`), "--bundle", "--platform=node"].concat([
        "--format=cjs",
        "--log-level=warning",
        `--outfile=${bundle}`,
      ]),
      folder,
    );
    await run(process.execPath, [bundle], target);
  }
}

/** Runs without configuration, under the oldest supported Node. */
async function runJest({ folder }, tools) {
  for (const program of PROGRAMS.cjs) {
    fs.copyFileSync(
      path.join(folder, FORMATS.commonjs, `${program}.js`),
      path.join(tools, `${program}.test.js`),
    );
  }
  await startJest(tools);
}

async function runTsJest({ folder }, tools) {
  fs.writeFileSync(
    path.join(tools, "tsconfig.json"),
    JSON.stringify({ compilerOptions: TSCONFIG }),
  );
  for (const program of PROGRAMS.cjs) {
    fs.copyFileSync(
      path.join(folder, FORMATS.commonjs, `${program}.ts`),
      path.join(tools, `${program}.test.ts`),
    );
  }
  await startJest(tools, "--preset", "ts-jest");
}

async function startJest(tools, ...args) {
  const [command, ...rest] = await nodeOf("20");
  const jest = path.join("node_modules", "jest", "bin", "jest.js");
  // Starting two workers would take longer than both tests.
  await run(command, [...rest, jest, "--runInBand", ...args], tools);
}
