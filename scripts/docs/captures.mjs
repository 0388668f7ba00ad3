// Runs the programs of the docs, and compares what they send to curl with the captures that follow them.
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import fs from "node:fs";
import { createRequire } from "node:module";
import net from "node:net";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { ROOT } from "./blocks.mjs";

const WORK = path.join(ROOT, "node_modules/.cache/check-docs-captures");
/** How long a program may take to listen, and a capture to arrive. */
const DEADLINE_MS = 15_000;
const LISTEN = /listen\((\d{4})\)/g;
/** Base64url, eight digits of time and a counter, and a tag. */
const ID = /[\w-]{8}\.\w{8}-\d+~[\w-]{5}/g;

/**
 * Compares all blocks with the mark `captured`, those of one page in their order.
 *
 * @returns `faults`, a line for each; `skipped`, why captures could not be compared; and `count`, how many were.
 */
export async function checkCaptures(blocks) {
  const pages = groupByPage(blocks);
  const withCaptures = [...pages.values()].filter((all) => all.some(isCapture));
  const all = withCaptures.flat().filter(isCapture);
  if (spawnSync("curl", ["--version"]).error !== undefined) {
    return { faults: [], skipped: [`${all.length} captures: curl is not installed`], count: 0 };
  }
  fs.mkdirSync(WORK, { recursive: true });
  // In parallel, because each mostly waits for a program that sends once a second.
  const faults = await Promise.all(withCaptures.map(checkPage));
  fs.rmSync(WORK, { recursive: true, force: true });
  return { faults: faults.flat(), skipped: [], count: all.length };
}

function isCapture({ marks }) {
  return marks.captured !== undefined;
}

function groupByPage(blocks) {
  const pages = new Map();
  for (const block of blocks) pages.set(block.page, [...(pages.get(block.page) ?? []), block]);
  return pages;
}

async function checkPage(blocks) {
  const faults = [];
  /** IDs of the page's captures, each with the ID that the program sent in its place. */
  const ids = new Map();
  let program;
  for (const block of blocks) {
    if (block.language === "ts" && /\.listen\(3000\)/.test(block.code)) {
      program?.child.kill();
      program = undefined;
      const captures = blocks.slice(blocks.indexOf(block) + 1);
      if (captures.some(isCapture)) program = await start(block);
    }
    if (!isCapture(block)) continue;
    if (program === undefined) {
      faults.push(`${block.page}:${block.line}: no program with listen(3000) comes before`);
      continue;
    }
    const [seconds] = /\d+/.exec(block.marks.captured.join()) ?? ["0"];
    await sleep(Number(seconds) * 1_000);
    const fault = await compare(block, program.ports, ids);
    if (fault !== undefined) faults.push(`${block.page}:${block.line}: ${fault}`);
  }
  program?.child.kill();
  return faults;
}

async function start({ page, line, code }) {
  const { transpileModule } = createRequire(path.join(ROOT, "docs/package.json"))("typescript");
  const ports = new Map();
  for (const [, port] of code.matchAll(LISTEN)) ports.set(port, await findPort());
  const file = path.join(WORK, `${page.replaceAll(/\W/g, "-")}-${line}.mjs`);
  const text = code.replace(LISTEN, (_, port) => `listen(${ports.get(port)})`);
  const compilerOptions = { target: "es2022", module: "esnext" };
  fs.writeFileSync(file, transpileModule(text, { compilerOptions }).outputText);
  const child = spawn(process.execPath, [file], { stdio: ["ignore", "inherit", "inherit"] });
  const deadline = Date.now() + DEADLINE_MS;
  while (!(await areListening([...ports.values()]))) {
    if (child.exitCode !== null || Date.now() > deadline) {
      throw new Error(`${page}:${line}: the program does not listen`);
    }
    await sleep(20);
  }
  return { child, ports };
}

async function areListening(ports) {
  return (await Promise.all(ports.map(isListening))).every(Boolean);
}

async function compare({ code }, ports, ids) {
  const [command = "", ...rest] = code.split("\n");
  const expected = rest.join("\n");
  const asked = ID.exec(command)?.[0];
  ID.lastIndex = 0;
  if (asked !== undefined && !ids.has(asked)) return `no capture before has the ID ${asked}`;
  const request = command
    .replace(ID, (id) => ids.get(id))
    .replace(/:(\d{4})\b/, (_, port) => `:${ports.get(port)}`);
  const wanted = mask(expected);
  const { output, isEnded } = await ask(request, wanted);
  for (const [index, id] of (expected.match(ID) ?? []).entries()) {
    const real = output.match(ID)?.[index];
    if (real !== undefined) ids.set(id, real);
  }
  const got = mask(output);
  const isSame = isEnded ? got === wanted : got.startsWith(wanted);
  return isSame ? undefined : `${command}\nshown:\n${wanted}\nsent:\n${got}`;
}

/** Runs a command line of curl until it ends, or has printed enough. */
async function ask(command, wanted) {
  const words = [...command.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, word]) => quoted ?? word);
  const child = spawn("curl", ["-s", ...words.slice(words.indexOf("curl") + 1)], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  const timer = setTimeout(() => child.kill(), DEADLINE_MS);
  let output = "";
  let isEnded = true;
  child.stdout.setEncoding("utf8").on("data", (text) => {
    output += text;
    // Ignores an incomplete event.
    if (isOpenEnded(wanted) && mask(output).length >= wanted.length && output.endsWith("\n\n")) {
      isEnded = false;
      child.kill();
    }
  });
  await once(child, "close");
  clearTimeout(timer);
  return { output, isEnded };
}

/** A capture that stops before the end of its stream. Without a head, it shows the first of many events. */
function isOpenEnded(wanted) {
  return !wanted.startsWith("HTTP/");
}

/** Removes everything that differs between runs: dates, IDs, counters, and heartbeats between events. */
function mask(text) {
  const ids = new Map();
  return text
    .replaceAll("\r\n", "\n")
    .replaceAll(/^date: .*$/gim, "Date: *")
    .replaceAll(ID, (id) => {
      if (!ids.has(id)) ids.set(id, `<id ${ids.size + 1}>`);
      return ids.get(id);
    })
    .replaceAll(/^data: \d+$/gm, "data: *")
    .replaceAll(/"price":\d+\}/g, '"price":*}')
    .replaceAll(/^:\n\n/gm, "")
    .trimEnd();
}

async function findPort() {
  const server = net.createServer().listen(0);
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

function isListening(port) {
  return new Promise((resolve) => {
    const socket = net.connect(port, "localhost");
    socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
    socket.once("connect", () => socket.destroy());
  });
}
