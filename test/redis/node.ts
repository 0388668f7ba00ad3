import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { DisconnectFilter, HubOptions, HubStats } from "@tidewire/core";
import type { RedisLogOptions } from "@tidewire/redis";
import { within } from "../client.js";
import type { Place } from "./clients.mjs";

/** Outcome of one publish: its id, or the code of its error. */
export interface Outcome {
  readonly channel: string;
  readonly data: string;
  readonly id?: string;
  readonly code?: string;
  /** Time to settle, in milliseconds. */
  readonly ms: number;
}

/** Events that a node publishes: `<prefix><number>`, on the channels in turn. */
export interface Load {
  readonly channels: readonly string[];
  readonly from: number;
  readonly count: number;
  readonly perSecond: number;
  readonly prefix: string;
  /** Whether each event has its data as `dedupeKey`. */
  readonly dedupe?: boolean;
}

/** State reported by a node. */
export interface NodeStats extends HubStats {
  /** When they were taken, by the clock of the node, in milliseconds since 1970. */
  readonly at: number;
  readonly errors: readonly string[];
  /** States of its log, in order. */
  readonly health: readonly string[];
  readonly cpu: NodeJS.CpuUsage;
  readonly rss: number;
}

type Serializable<Options> = Omit<
  Options,
  "client" | "onHealth" | "log" | "onError" | "authorize" | "identify" | "revalidate"
>;

/** Options of a node's hub. */
export interface NodeHubOptions extends Serializable<HubOptions> {
  /** How often sessions are checked again, in milliseconds. Absent: never. */
  readonly revalidateMs?: number;
  /** How long each check takes, in milliseconds. */
  readonly checkMs?: number;
}

/** How the checks of a node have gone. */
export interface Checks {
  readonly count: number;
  /** Most checks at the same time. */
  readonly most: number;
  /** Longest time between the opening of a session, or a check of it, and its next check. */
  readonly longestGapMs: number;
}

/** A node of a cluster in a separate process: `GET /?channel=a&channel=b&user=ada` is a stream of the identity `ada`. */
export class ClusterNode {
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

  /** @param client - Client library for the log, if it is not given a URL. */
  static async start(
    log: Serializable<RedisLogOptions>,
    hub: NodeHubOptions = {},
    client?: { readonly library: string; readonly place: Place },
  ): Promise<ClusterNode> {
    const child = fork(
      fileURLToPath(new URL("node.mjs", import.meta.url)),
      [JSON.stringify({ log, client, hub })],
      { execArgv: ["--unhandled-rejections=strict", "--trace-warnings"] },
    );
    try {
      const started = await within("the node to start", once(child, "message"));
      const [{ port }] = started as [{ port: number }];
      return new ClusterNode(child, port);
    } catch (error) {
      child.kill("SIGKILL");
      throw error;
    }
  }

  /** Publishes, and settles when every publish has. */
  publish(load: Load): Promise<Outcome[]> {
    return this.#call("publish", load);
  }

  /** Disconnects, and returns when that settled, by the clock of the node, and the code of its error. */
  disconnect(filter: DisconnectFilter): Promise<{ code?: string; at: number }> {
    return this.#call("disconnect", filter);
  }

  /** The identities that are present on a channel, as this node knows. */
  presence(channel: string): Promise<string[]> {
    return this.#call("presence", channel);
  }

  checks(): Promise<Checks> {
    return this.#call("checks");
  }

  /** Lets the sessions of a user fail when they are checked again. */
  block(user: string): Promise<void> {
    return this.#call("block", user);
  }

  stats(): Promise<NodeStats> {
    return this.#call("stats");
  }

  /** Waits for a condition on the node's state, and returns that state. */
  async until(
    what: string,
    isTrue: (stats: NodeStats) => boolean,
    ms: number = 10_000,
  ): Promise<NodeStats> {
    const end = performance.now() + ms;
    for (;;) {
      const stats = await this.stats();
      if (isTrue(stats)) return stats;
      if (performance.now() > end) {
        throw new Error(`Waited ${ms} ms for ${what}: ${JSON.stringify(stats.log)}`);
      }
      await setTimeout(20);
    }
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
    this.#child.kill("SIGKILL");
    await this.#exit;
  }

  /** Shuts it down as a deployment does. */
  async close(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.send({ id: -1, command: "close" });
    await within("the node to exit", this.#exit);
  }

  #call<Result>(command: string, argument?: unknown): Promise<Result> {
    const id = this.#calls++;
    return new Promise((resolve) => {
      this.#waiting.set(id, (result) => resolve(result as Result));
      this.#child.send({ id, command, argument });
    });
  }
}
