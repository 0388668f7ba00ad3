/** Runs the programs of `examples/recipes` as their readers would. */
import { openStream } from "@tidewire/testing";
import type { OpenStreamOptions, TestStream } from "@tidewire/testing";
import { afterEach, expect } from "vitest";
import { findPorts, startProgram } from "../browser/program.js";
import type { Program } from "../browser/program.js";
import { request } from "../client.js";
import type { RequestOptions, StreamClient } from "../client.js";

/** A recipe that listens. */
export interface Recipe {
  readonly program: Program;
  /** `http://127.0.0.1:` and the port. */
  readonly origin: string;
  /** Opens a stream, which is closed after the test. */
  stream(path: string, options?: OpenStreamOptions): Promise<TestStream>;
  /** Opens a stream, as `EventSource` would, for tests of its bytes. */
  open(path: string, headers?: Record<string, string>): Promise<StreamClient>;
  /** Sends a request, with JSON if there is a body, and reads the whole answer. */
  ask(
    method: string,
    path: string,
    body?: unknown,
    headers?: Record<string, string>,
  ): Promise<Answer>;
}

export interface Answer {
  readonly status: number;
  readonly text: string;
}

/** Deadline of a wait: the programs run beside each other. */
const STREAM_MS = 10_000;

const running = new Set<Program>();
const streams = new Set<TestStream>();

/** Every recipe ends on SIGTERM, whatever it is doing when its test is over. */
afterEach(async () => {
  for (const stream of streams) await stream.close();
  streams.clear();
  for (const program of running) {
    running.delete(program);
    const { code } = await program.terminate();
    expect(code, program.output()).toBe(0);
  }
});

/**
 * Starts a recipe and waits until it listens.
 *
 * @param name - Its file without `.ts`.
 * @param env - Further variables of its environment.
 * @param at - A port; by default one that is free.
 */
export async function startRecipe(
  name: string,
  env: Record<string, string> = {},
  at?: number,
): Promise<Recipe> {
  const port = at ?? (await findPorts());
  const program = startProgram(`recipes/${name}.js`, port, env);
  running.add(program);
  await program.printed(`http://127.0.0.1:${port}`);
  const target = { port, protocol: "http1" } as const;
  return {
    program,
    origin: `http://127.0.0.1:${port}`,
    async stream(path, options) {
      const stream = await openStream(`http://127.0.0.1:${port}`, path, {
        withinMs: STREAM_MS,
        ...options,
      });
      streams.add(stream);
      return stream;
    },
    open: (path, headers = {}) =>
      request(target, path, { headers: { accept: "text/event-stream", ...headers } }),
    async ask(method, path, body, headers = {}) {
      const json: RequestOptions =
        body === undefined
          ? { headers }
          : {
              headers: { "content-type": "application/json", ...headers },
              body: JSON.stringify(body),
            };
      const client = await request(target, path, { method, ...json });
      return { status: client.status, text: await client.rest() };
    },
  };
}

/** Kills a recipe as a crash would. */
export async function crash({ program }: Recipe): Promise<void> {
  running.delete(program);
  await program.kill();
}
