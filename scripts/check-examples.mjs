// Starts every compiled example, reads from its stream, and stops it with SIGTERM while the stream is open.
// The tests in test/recipes run the recipes.
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import path from "node:path";

const folder = path.resolve(import.meta.dirname, "../examples/dist");
const DEADLINE_MS = 10_000;

const EXAMPLES = [
  { file: "express.js", url: "/time", expected: "data: " },
  { file: "fastify.js", url: "/time", expected: "data: " },
  { file: "http.js", url: "/time", expected: "data: " },
  {
    file: "chat.js",
    url: "/rooms/harbour/messages",
    expected: "event: sse-cursor\nid: ",
  },
  { file: "ticker.js", url: "/prices", expected: "event: change\nid: " },
  // The tests in test/browser cover the rest of these two.
  { file: "showcase/main.js", url: "/", expected: "<!doctype html>" },
  { file: "chat-llm/main.js", url: "/", expected: "<!doctype html>" },
  { file: "observability/main.js", url: "/metrics", expected: "tidewire_sessions_opened_total " },
  {
    file: "cluster/main.js",
    url: "/events",
    expected: "event: tick\nid: ",
    command: "redis-server",
  },
];

let failed = 0;
let skipped = 0;
for (const example of EXAMPLES) {
  if (process.env.CI !== "true" && isMissing(example.command)) {
    skipped += 1;
    console.log(`skip ${example.file}: ${example.command} is not installed`);
    continue;
  }
  try {
    await checkExample(example);
    console.log(`ok   ${example.file}`);
  } catch (error) {
    failed += 1;
    console.log(`FAIL ${example.file}\n${error.message}`);
  }
}
console.log(`${EXAMPLES.length - failed - skipped} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;

function isMissing(command) {
  return command !== undefined && spawnSync(command, ["--version"]).status !== 0;
}

async function checkExample({ file, url, expected }) {
  const port = await freePort();
  const child = spawn(process.execPath, [path.join(folder, file)], {
    // Each starts a Redis itself, or does without.
    env: { ...process.env, PORT: String(port), REDIS_URL: "" },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const exited = once(child, "exit");
  let output = "";
  const listening = new Promise((resolve) => {
    const read = (text) => {
      output += text;
      if (output.includes(`:${port}`)) resolve();
    };
    child.stdout.setEncoding("utf8").on("data", read);
    child.stderr.setEncoding("utf8").on("data", read);
  });

  const connection = new AbortController();
  try {
    const first = await within("to start", Promise.race([listening, exited]));
    if (first !== undefined) throw new Error("It ended at once");
    const response = await fetch(`http://localhost:${port}${url}`, {
      signal: AbortSignal.any([connection.signal, AbortSignal.timeout(DEADLINE_MS)]),
    });
    await within(`to send ${JSON.stringify(expected)}`, readUntil(response, expected));
    child.kill("SIGTERM");
    const [code, signal] = await within("to end after SIGTERM", exited);
    if (code !== 0) throw new Error(`It ended with ${code ?? signal}`);
  } catch (error) {
    throw new Error(`${error.message}\n${output}`, { cause: error });
  } finally {
    connection.abort();
    child.kill("SIGKILL");
  }
}

/** Reads without ending the stream, which is the example's job. */
async function readUntil(response, expected) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  while (!text.toLowerCase().includes(expected)) {
    const { done, value } = await reader.read();
    if (done) throw new Error(`${response.status}, ended after ${JSON.stringify(text)}`);
    text += value;
  }
}

async function within(what, promise) {
  let timer;
  const late = new Promise((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`Took too long ${what}`)), DEADLINE_MS);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** The showcase also uses the next port. Chosen below the range of ephemeral ports. */
async function freePort() {
  for (;;) {
    const port = 20_000 + 2 * Math.floor(Math.random() * 5_000);
    if ((await isFree(port)) && (await isFree(port + 1))) return port;
  }
}

function isFree(port) {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(port, () => server.close(() => resolve(true)));
  });
}
