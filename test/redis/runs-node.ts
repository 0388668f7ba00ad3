import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { RedisTapesOptions } from "@tidewire/redis";
import type { RunLimits, RunState, RunsOptions } from "@tidewire/runs";
import { within } from "../client.js";
import type { Place } from "./clients.mjs";

/** A run for a node to produce: item `n` has the data `<run id>:<n>`, followed by `bytes` letters. */
export interface Production {
  readonly key: string;
  /** Items of the run; absent: it does not end by itself. */
  readonly count?: number;
  readonly everyMs: number;
  readonly bytes?: number;
  readonly limits?: RunLimits;
}

/** Something that a node has done, with the time: `begin`, `done` or `abort` with its cause. */
export type Note =
  | readonly [what: "begin" | "done", key: string, runId: string, at: number]
  | readonly [what: "abort", key: string, runId: string, cause: string, at: number];

/** State reported by a node. */
export interface NodeReport {
  readonly notes: readonly Note[];
  readonly errors: readonly string[];
  /** Names of what would keep its process alive. */
  readonly resources: readonly string[];
  readonly rss: number;
}

type Serializable<Options> = Omit<Options, "client" | "onError" | "tapes" | "serialize">;

/** Options of a node. */
export interface RunsNodeOptions {
  readonly tapes: Serializable<RedisTapesOptions>;
  readonly runs?: Serializable<RunsOptions>;
  /** Client library, if the tapes are not given a URL. */
  readonly client?: { readonly library: string; readonly place: Place };
  /** File in which the node records its notes. */
  readonly journal?: string;
}

/** A node with runs in a separate process: `GET /?key=a` follows a run, and ends with an event `end`. */
export class RunsNode {
  readonly port: number;
  readonly #child: ChildProcess;
  readonly #exit: Promise<unknown>;
  readonly #waiting: Map<number, (result: unknown) => void> = new Map();
  #calls = 0;

  private constructor(child: ChildProcess, port: number) {
    this.#child = child;
    this.port = port;
    this.#exit = once(child, "exit");
    child.on("message", ({ id, result }: { id: number; result: unknown }) => {
      this.#waiting.get(id)?.(result);
      this.#waiting.delete(id);
    });
  }

  static async start(options: RunsNodeOptions): Promise<RunsNode> {
    const child = fork(
      fileURLToPath(new URL("runs-node.mjs", import.meta.url)),
      [JSON.stringify(options)],
      { execArgv: ["--unhandled-rejections=strict", "--trace-warnings"] },
    );
    try {
      const [{ port }] = (await within("the node to start", once(child, "message"))) as [
        { port: number },
      ];
      return new RunsNode(child, port);
    } catch (error) {
      child.kill("SIGKILL");
      throw error;
    }
  }

  /** Begins a run. */
  begin(production: Production): Promise<{ readonly started?: boolean; readonly code?: string }> {
    return this.#call("start", production);
  }

  stop(key: string): Promise<boolean | { readonly code: string }> {
    return this.#call("stop", key);
  }

  state(key: string): Promise<RunState | undefined> {
    return this.#call("state", key);
  }

  report(): Promise<NodeReport> {
    return this.#call("report");
  }

  /** Closes its runs, and leaves the process running. */
  closeRuns(options?: { readonly drainMs?: number }): Promise<void> {
    return this.#call("closeRuns", options);
  }

  /** Stops it abruptly: its connections stay open, but it neither reads nor writes. */
  pause(): void {
    this.#child.kill("SIGSTOP");
  }

  /** Resumes it. */
  resume(): void {
    this.#child.kill("SIGCONT");
  }

  /** Kills it without warning. */
  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.kill("SIGKILL");
    await this.#exit;
  }

  /** Shuts it down as a deployment does. */
  async close(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.send({ id: -1, command: "close" });
    await within("the node to exit", this.#exit);
  }

  /** @returns Result of the command, or the code of its error. Never settles if the node is killed. */
  #call<Result>(command: string, argument?: unknown): Promise<Result> {
    const id = this.#calls++;
    return new Promise((resolve) => {
      this.#waiting.set(id, (result) => resolve(result as Result));
      this.#child.send({ id, command, argument });
    });
  }
}
