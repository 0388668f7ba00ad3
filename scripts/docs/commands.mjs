// Checks the blocks that are not TypeScript: commands, configuration of proxies, JSON, HTML, Python.
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import vm from "node:vm";
import { ROOT } from "./blocks.mjs";

const { scripts } = JSON.parse(fs.readFileSync(path.join(ROOT, "package.json"), "utf8"));
const PACKAGES = fs.readdirSync(path.join(ROOT, "packages")).map((name) => `@tidewire/${name}`);
/** Built-in commands of pnpm that the docs name. */
const OF_PNPM = new Set(["add", "install", "pack", "publish", "changeset"]);

/** The checks of blocks by language. Each returns a fault, or `undefined`. */
export const CHECKS = {
  sh: checkShell,
  json: (code) => faultOf(() => JSON.parse(code)),
  html: checkHtml,
  nginx: (code) =>
    runProgram("nginx", ["-t", "-q", "-p", os.tmpdir(), "-c"], wrapLocation(code), "conf"),
  haproxy: (code) =>
    runProgram(
      "haproxy",
      ["-c", "-f"],
      `${code}\nfrontend page\n  bind 127.0.0.1:8080\n  default_backend app\nbackend app\n  server one 127.0.0.1:1\n`,
      "cfg",
    ),
  python: (code) =>
    runProgram(
      "python3",
      ["-c", "import ast, sys; ast.parse(open(sys.argv[1]).read())"],
      code,
      "py",
    ),
};

/** Thrown by a check whose program is not installed. */
export class NotInstalled extends Error {}

/** @returns A fault for each script of package.json that a text names and that does not exist. */
export function checkScriptNames(text) {
  const named = [...text.matchAll(/\bpnpm@10 (?:run )?([a-z][\w:-]*)/g)].map(([, name]) => name);
  return [...new Set(named)]
    .filter((name) => scripts[name] === undefined && !OF_PNPM.has(name))
    .map((name) => `package.json has no script ${name}`);
}

function checkShell(code) {
  const syntax = spawnSync("bash", ["-n"], { input: code, encoding: "utf8" });
  // A placeholder, `<an ID from above>`, has to be quoted: a shell takes it for a redirection.
  if (syntax.status !== 0) return syntax.stderr.trim();
  const words = code.split(/\s+/);
  const packages = words.filter((word) => word.startsWith("@tidewire/"));
  const unknown = packages.find((word) => !PACKAGES.includes(word.replace(/@[^@/]+$/, "")));
  if (unknown !== undefined) return `there is no package ${unknown}`;
  const files = words.filter((word) =>
    /^(\.ci|bench|docs|examples|packages|scripts|test)\//.test(word),
  );
  // Files in `dist` do not exist before a build.
  const missing = files.find(
    (file) => !file.includes("dist/") && !fs.existsSync(path.join(ROOT, file)),
  );
  return missing === undefined ? undefined : `there is no file ${missing}`;
}

function checkHtml(code) {
  for (const [, attributes, script] of code.matchAll(/<script\b([^>]*)>([\s\S]*?)<\/script>/g)) {
    const isModule = attributes.includes("module");
    // The body of an async function accepts everything that a module does except imports.
    const text = isModule
      ? `(async () => {${script.replaceAll(/^\s*import\b.*$/gm, "")}\n})`
      : script;
    const fault = faultOf(() => new vm.Script(text));
    if (fault !== undefined) return fault;
  }
  return undefined;
}

function wrapLocation(code) {
  const inHttp = /^\s*(server|upstream|map)\b/m.test(code)
    ? code
    : `upstream app { server 127.0.0.1:1; }\nserver { listen 127.0.0.1:8080;\n${code}\n}`;
  return `daemon off; pid nginx-docs.pid; error_log stderr; events {}\nhttp { access_log off;\n${inHttp}\n}\n`;
}

function runProgram(program, args, text, extension) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "tidewire-docs-"));
  const file = path.join(folder, `block.${extension}`);
  fs.writeFileSync(file, text);
  const { error, status, stdout, stderr } = spawnSync(program, [...args, file], {
    encoding: "utf8",
  });
  fs.rmSync(folder, { recursive: true });
  if (error?.code === "ENOENT") throw new NotInstalled(program);
  return status === 0 ? undefined : `${program}: ${(stderr + stdout).trim()}`;
}

function faultOf(call) {
  try {
    call();
  } catch (error) {
    return error.message;
  }
  return undefined;
}
