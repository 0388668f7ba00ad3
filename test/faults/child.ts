import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { within } from "../client.js";
import type { Target } from "../client.js";

export type Framework = "http" | "express" | "fastify";

/** Measurements of the server after a garbage collection. */
export interface Report {
  readonly sessions: number;
  readonly connections: number;
  /** Active resources of the event loop, by kind. */
  readonly resources: Readonly<Record<string, number>>;
  /** Listeners on the server. */
  readonly listeners: number;
  readonly heapUsed: number;
  readonly rss: number;
  readonly peakRss: number;
  /** Number of closed sessions by reason. */
  readonly reasons: Readonly<Record<string, number>>;
  /** Bytes requested from a source. */
  readonly taken: number;
  /** How often a source ran its `finally`. */
  readonly sourceEnds: number;
  /** Bytes that the last session held before it closed. */
  readonly bufferedAtClose: number;
}

/** A server in a separate process. */
export class ChildServer implements Target {
  readonly protocol = "http1";
  readonly port: number;
  readonly #child: ChildProcess;
  readonly #exit: Promise<unknown[]>;
  readonly #stderr: string[];

  private constructor(child: ChildProcess, port: number, stderr: string[]) {
    this.#child = child;
    this.#exit = once(child, "exit");
    this.#stderr = stderr;
    this.port = port;
  }

  /**
   * Starts a server.
   *
   * @param program - File in this folder.
   */
  static async start(framework: Framework, program = "server.mjs"): Promise<ChildServer> {
    const child = fork(fileURLToPath(new URL(program, import.meta.url)), [framework], {
      execArgv: ["--expose-gc", "--unhandled-rejections=strict", "--trace-warnings"],
      stdio: ["ignore", "inherit", "pipe", "ipc"],
    });
    const stderr: string[] = [];
    child.stderr?.on("data", (part) => stderr.push(String(part)));
    const [{ port }] = (await within("the server to start", once(child, "message"))) as [
      { port: number },
    ];
    return new ChildServer(child, port, stderr);
  }

  async report(): Promise<Report> {
    this.#child.send("report");
    const [report] = (await within("a report", once(this.#child, "message"))) as [Report];
    return report;
  }

  /** Closes hub and server. Returns the exit code once the process has exited by itself, and its output. */
  async close(): Promise<{ code: unknown; stderr: string }> {
    if (this.#child.connected) this.#child.send("close");
    const [code] = await within("the process to exit by itself", this.#exit);
    return { code, stderr: this.#stderr.join("") };
  }

  kill(): void {
    this.#child.kill("SIGKILL");
  }
}
