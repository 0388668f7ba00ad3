import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { HubOptions, HubStats } from "@tidewire/core";
import { within } from "../client.js";

/** Measurements of the server. */
export interface ChannelReport {
  readonly rss: number;
  /** Bytes in buffers, frames included. */
  readonly arrayBuffers: number;
  readonly heapUsed: number;
  /** Highest value since `settle`. */
  readonly peakRss: number;
  /** Most bytes buffered for any session since `settle`. */
  readonly peakBuffered: number;
  readonly published: number;
  /** Delay of the event loop since `settle`, in milliseconds. */
  readonly delayP99: number;
  readonly delayMax: number;
  readonly stats: HubStats;
}

export interface ChannelClose {
  readonly hubMs: number;
  readonly serverMs: number;
  readonly delayMax: number;
  /** When each session was ended, in milliseconds after `close`. */
  readonly shutdowns: readonly number[];
}

export interface Publication {
  readonly channels: readonly string[];
  readonly count: number;
  /** Absent: as fast as possible. */
  readonly perSecond?: number;
  /** Length of the data. It starts with the event's number, counted from 0 by the server, and the time. */
  readonly bytes: number;
}

/** A server with channels, in a separate process. */
export class ChannelServer {
  readonly protocol = "http1";
  readonly port: number;
  readonly #child: ChildProcess;
  readonly #waiting: Map<number, (result: unknown) => void> = new Map();
  #calls = 0;

  private constructor(child: ChildProcess, port: number) {
    this.#child = child;
    this.port = port;
    child.on("message", ({ id, result }: { id: number; result: unknown }) => {
      this.#waiting.get(id)?.(result);
      this.#waiting.delete(id);
    });
  }

  /** @param flags - Further flags for Node. */
  static async start(
    framework: "http" | "express" | "fastify" | "http2",
    options: HubOptions = {},
    flags: readonly string[] = [],
  ): Promise<ChannelServer> {
    const program = fileURLToPath(new URL("channels-server.mjs", import.meta.url));
    const child = fork(program, [JSON.stringify({ framework, options })], {
      execArgv: ["--expose-gc", "--unhandled-rejections=strict", "--trace-warnings", ...flags],
      stdio: ["ignore", "inherit", "inherit", "ipc"],
    });
    const [{ port }] = (await within("the server to start", once(child, "message"))) as [
      { port: number },
    ];
    return new ChannelServer(child, port);
  }

  report(): Promise<ChannelReport> {
    return this.#call("report") as Promise<ChannelReport>;
  }

  /** Collects garbage, restarts all measurements and reports. */
  settle(): Promise<ChannelReport> {
    return this.#call("settle") as Promise<ChannelReport>;
  }

  /** Settles when everything is published. */
  async publish(publication: Publication): Promise<void> {
    await this.#call("publish", publication, 200_000);
  }

  /** Closes the hub, then the server. */
  close(drainMs: number): Promise<ChannelClose> {
    return this.#call("close", { drainMs }, drainMs + 20_000) as Promise<ChannelClose>;
  }

  kill(): void {
    this.#child.kill("SIGKILL");
  }

  #call(command: string, details: unknown = {}, ms?: number): Promise<unknown> {
    const id = this.#calls++;
    const answer = new Promise<unknown>((resolve) => {
      this.#waiting.set(id, resolve);
    });
    this.#child.send({ id, command, details });
    return within(`the server to answer to ${command}`, answer, ms);
  }
}
