// Compiles programs against the packed packages under each module setting of each version of TypeScript.
import fs from "node:fs";
import path from "node:path";
import { FORMATS } from "./application.mjs";
import { check, run } from "./checks.mjs";
import { install } from "./tarballs.mjs";

/** The oldest supported version, the previous one, and the one with the Go compiler. */
const CI_VERSIONS = ["5.4", "6.0", "7.0"];
const ALL_VERSIONS = ["5.4", "5.5", "5.6", "5.7", "5.8", "5.9", "6.0", "7.0"];

/**
 * `since` and `until`: first and last version with the setting. `classic` is omitted: it finds no package.
 * `isRare`: differs from another setting only in the emitted code; skipped in CI.
 */
const SETTINGS = [
  { moduleResolution: "node10", module: "commonjs", until: "6.0" },
  { moduleResolution: "node10", module: "amd", until: "6.0", isRare: true },
  { moduleResolution: "node10", module: "umd", until: "6.0", isRare: true },
  { moduleResolution: "node10", module: "system", until: "6.0", isRare: true },
  { moduleResolution: "node10", module: "es2015", until: "6.0", isRare: true },
  { moduleResolution: "node10", module: "es2020", until: "6.0", isRare: true },
  { moduleResolution: "node10", module: "es2022", until: "6.0", isRare: true },
  { moduleResolution: "node10", module: "esnext", until: "6.0" },
  { moduleResolution: "node10", module: "preserve", until: "6.0", isRare: true },
  { moduleResolution: "node16", module: "node16" },
  { moduleResolution: "node16", module: "node18", since: "5.8", isRare: true },
  { moduleResolution: "node16", module: "node20", since: "5.9" },
  { moduleResolution: "nodenext", module: "nodenext" },
  { moduleResolution: "bundler", module: "commonjs", since: "6.0" },
  { moduleResolution: "bundler", module: "es2015", isRare: true },
  { moduleResolution: "bundler", module: "es2020", isRare: true },
  { moduleResolution: "bundler", module: "es2022", isRare: true },
  { moduleResolution: "bundler", module: "esnext" },
  { moduleResolution: "bundler", module: "preserve" },
];

/**
 * Checks the settings and versions selected for CI, or all of them.
 *
 * @returns A table with a row for each setting and a column for each version; "–" where a version lacks the setting.
 */
export async function checkModuleSettings({ folder }, isAll) {
  const versions = isAll ? ALL_VERSIONS : CI_VERSIONS;
  const rows = SETTINGS.filter(({ isRare }) => isAll || isRare !== true);
  const compilers = path.join(folder, "typescript");
  await install(compilers, {
    private: true,
    devDependencies: Object.fromEntries(
      versions.map((version) => [`typescript-${version}`, `npm:typescript@~${version}.0`]),
    ),
  });
  const table = [
    ["moduleResolution", "module", ...versions],
    ...rows.map(({ moduleResolution, module }) => [moduleResolution, module]),
  ];
  for (const version of versions) {
    const compiler = path.join(compilers, "node_modules", `typescript-${version}`);
    const configs = rows.map((setting) => writeConfig(folder, version, setting));
    const faults = compile(
      compiler,
      configs.filter((_, index) => hasSetting(version, rows[index])),
    );
    for (const [index, setting] of rows.entries()) {
      let cell = "–";
      if (hasSetting(version, setting)) {
        const title = `TypeScript ${version}: ${setting.module}, ${setting.moduleResolution}`;
        cell = await check(title, async () => {
          const messages = (await faults).get(configs[index]);
          if (messages.length > 0) throw new Error(messages.join("\n"));
        });
      }
      table[index + 1].push(cell);
    }
  }
  return table;
}

function hasSetting(version, { since = version, until = version }) {
  return Number(since) <= Number(version) && Number(version) <= Number(until);
}

/** @returns Path of the tsconfig.json. */
function writeConfig(folder, version, { module, moduleResolution }) {
  const file = path.join(folder, `tsconfig-${version}-${module}-${moduleResolution}.json`);
  const isDeprecated = version === "6.0" && moduleResolution === "node10";
  const config = {
    compilerOptions: {
      module,
      moduleResolution,
      target: "es2022",
      types: ["node"],
      strict: true,
      noEmit: true,
      skipLibCheck: false,
      ...(isDeprecated ? { ignoreDeprecations: "6.0" } : {}),
    },
    files: [
      ...Object.values(FORMATS).flatMap((name) => [`${name}/entries.ts`, `${name}/typed.ts`]),
      `${FORMATS.module}/client.ts`,
    ],
  };
  fs.writeFileSync(file, JSON.stringify(config));
  return file;
}

/** @returns For each tsconfig.json, the errors in the programs and in the packages' declarations. */
async function compile(compiler, configs) {
  const { version } = JSON.parse(fs.readFileSync(path.join(compiler, "package.json"), "utf8"));
  if (Number.parseInt(version, 10) < 7) {
    // All in one process, which parses shared files only once.
    const program = path.join(import.meta.dirname, "find-type-errors.mjs");
    const output = await run(process.execPath, [program, compiler, ...configs]);
    return new Map(Object.entries(JSON.parse(output)));
  }
  const faults = new Map();
  for (const config of configs) {
    faults.set(config, await errorsOfTsc(path.join(compiler, "bin", "tsc"), config));
  }
  return faults;
}

/** This compiler has no JavaScript API, but is fast enough to check the declarations of all packages. */
async function errorsOfTsc(tsc, config) {
  const args = [tsc, "--pretty", "false", "--project", config];
  try {
    await run(process.execPath, args, path.dirname(config));
    return [];
  } catch (error) {
    if (typeof error.code !== "number") throw error;
    return error.stdout
      .split("\n")
      .filter((line) => line.includes("error TS") && !isOfOthers(line));
  }
}

/** Whether an error is in the declarations of a foreign package. */
function isOfOthers(line) {
  return line.includes("node_modules/") && !line.includes("node_modules/@tidewire/");
}
