// Compiles the ts, tsx and js blocks of the docs against the built packages.
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { ROOT } from "./blocks.mjs";

/** Inside the repository: from here TypeScript finds the packages and their types. */
const WORK = path.join(ROOT, "node_modules/.cache/check-docs");

/** The types of the names that `needs` lists most often. Every other name is declared as `any`. */
const TYPES = {
  app: 'import("express").Express',
  fastify: 'import("fastify").FastifyInstance',
  hub: 'import("@tidewire/core").Hub',
  session: 'import("@tidewire/core").Session',
};

const COMMON = {
  composite: false,
  declaration: false,
  declarationMap: false,
  sourceMap: false,
  isolatedDeclarations: false,
  noEmit: true,
  skipLibCheck: true,
};
const BROWSER = { lib: ["es2023", "dom", "dom.iterable"] };

/** Compiler settings by kind of block. JavaScript is compiled as TypeScript in which types may be missing. */
const KINDS = {
  ts: {},
  tsx: { ...BROWSER, jsx: "preserve" },
  dom: BROWSER,
  js: {
    ...BROWSER,
    strict: false,
    exactOptionalPropertyTypes: false,
    noImplicitAny: false,
    noImplicitReturns: false,
    noPropertyAccessFromIndexSignature: false,
  },
};

/** TypeScript's code for an unused name. In a block only imports must be used. */
const UNUSED = "TS6133";

/**
 * Compiles blocks: all of one kind in one project. A block that changes the types of a module gets its own.
 *
 * @returns `faults`, a line for each, and `count`, how many blocks were compiled.
 */
export function checkTypes(blocks) {
  fs.rmSync(WORK, { recursive: true, force: true });
  const programs = joinBlocks(blocks);
  const projects = new Map();
  for (const [index, program] of programs.entries()) {
    program.file = `program-${index}.${program.kind === "tsx" ? "tsx" : "mts"}`;
    const isAlone = /^declare (module|global)\b/m.test(program.code.join("\n"));
    const project = isAlone ? `${program.kind}-${index}` : program.kind;
    projects.set(project, [...(projects.get(project) ?? []), program]);
  }
  const faults = [...projects].flatMap(([project, members]) => compile(project, members));
  fs.rmSync(WORK, { recursive: true, force: true });
  return { faults, count: blocks.length };
}

/** Joins each block with those that continue it, and remembers the line in the page of each line of code. */
function joinBlocks(blocks) {
  const programs = [];
  for (const block of blocks) {
    const needs = block.marks.needs ?? [];
    const kind = block.language === "ts" && needs.includes("dom") ? "dom" : block.language;
    let program = programs.findLast(({ page }) => page === block.page);
    if (block.marks.continues === undefined) {
      program = { page: block.page, kind, code: [], lines: [], needs: new Set() };
      programs.push(program);
    } else if (program === undefined) {
      throw new Error(`${block.page}:${block.line}: the block continues no other`);
    }
    const code = block.code.split("\n");
    program.code.push(...code);
    program.lines.push(...code.map((_line, index) => block.line + index));
    for (const name of needs) if (name !== "dom") program.needs.add(name);
  }
  return programs;
}

function compile(project, members) {
  const folder = path.join(WORK, project);
  fs.mkdirSync(folder, { recursive: true });
  for (const { file, code, needs } of members) {
    const declared = [...needs].map((name) => `declare let ${name}: ${TYPES[name] ?? "any"};`);
    fs.writeFileSync(path.join(folder, file), [...code, ...declared, "export {};", ""].join("\n"));
  }
  const config = {
    extends: path.join(ROOT, "tsconfig.base.json"),
    compilerOptions: { ...COMMON, ...KINDS[members[0].kind] },
    include: ["."],
  };
  fs.writeFileSync(path.join(folder, "tsconfig.json"), JSON.stringify(config));
  const tsc = path.join(ROOT, "node_modules/.bin/tsc");
  const { status, stdout } = spawnSync(tsc, ["-p", folder, "--pretty", "false"], {
    cwd: folder,
    encoding: "utf8",
  });
  const found = [
    ...stdout.matchAll(/^(program-\d+\.\w+)\((\d+),\d+\): error (TS\d+): (.*(?:\n +.*)*)/gm),
  ];
  if (status !== 0 && found.length === 0) return [stdout];
  return found.flatMap(([, file, line, code, message]) => {
    const program = members.find((member) => member.file === file);
    const text = program.code[line - 1] ?? "";
    if (code === UNUSED && !/^import\b/.test(text)) return [];
    return [`${program.page}:${program.lines[line - 1] ?? "?"}: ${message} (${code})`];
  });
}
