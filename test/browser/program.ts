import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { createServer } from "node:net";
import { fileURLToPath } from "node:url";

/** A program of `examples/` running in a separate process. */
export interface Program {
  /** Its output so far, errors included. */
  output(): string;
  /** Resolves when it has printed a text; rejects if it exits first. */
  printed(text: string): Promise<void>;
  /** Sends SIGINT if it is still running. Resolves when it has exited, with the exit code and the time taken. */
  interrupt(): Promise<{ code: number | null; ms: number }>;
  /** The same with SIGTERM. */
  terminate(): Promise<{ code: number | null; ms: number }>;
  /** Ends it without a chance to clean up. */
  kill(): Promise<void>;
  /** Resolves with its exit code. */
  readonly exited: Promise<number | null>;
}

/**
 * Starts the compiled form of an example.
 *
 * @param name - Path below `examples/dist`.
 * @param port - Value of `PORT`.
 * @param env - Further environment variables.
 */
export function startProgram(
  name: string,
  port: number | string,
  env: Record<string, string> = {},
): Program {
  const path = fileURLToPath(new URL(`../../examples/dist/${name}`, import.meta.url));
  if (!existsSync(path)) throw new Error(`examples/dist/${name} is missing: run "tsc -b" first`);
  const child = spawn(process.execPath, [path], {
    env: { ...process.env, ...env, PORT: String(port) },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  const onOutput = new Set<() => void>();
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      output += text;
      for (const check of onOutput) check();
    });
  }
  const exited = once(child, "close").then(([code]) => code as number | null);
  const end = async (signal: NodeJS.Signals): Promise<{ code: number | null; ms: number }> => {
    const start = performance.now();
    child.kill(signal);
    return { code: await exited, ms: performance.now() - start };
  };

  return {
    output: () => output,
    exited,
    printed: (text) =>
      new Promise((resolve, reject) => {
        const check = (): void => {
          if (!output.includes(text)) return;
          onOutput.delete(check);
          resolve();
        };
        onOutput.add(check);
        check();
        void exited.then((code) => reject(new Error(`${name} exited with ${code}: ${output}`)));
      }),
    interrupt: () => end("SIGINT"),
    terminate: () => end("SIGTERM"),
    async kill() {
      await end("SIGKILL");
    },
  };
}

/** Finds two consecutive free ports below the range of ephemeral ports. */
export async function findPorts(): Promise<number> {
  for (;;) {
    const port = 20_000 + 2 * Math.floor(Math.random() * 5_000);
    if ((await isFree(port)) && (await isFree(port + 1))) return port;
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(port, () => server.close(() => resolve(true)));
  });
}
