import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import type { NodeIdentity, NodeStatus } from "./channels.js";

/** Delay before a dead node is restarted, in milliseconds. */
const RESTART_MS = 5_000;
/** Time that a node has to end when asked, in milliseconds. */
const GRACE_MS = 1_500;

interface ClusterNode {
  readonly identity: NodeIdentity;
  child: ChildProcess | undefined;
  state: NodeStatus["state"];
  /** 0 unless the node is up. */
  port: number;
}

/** Address of Redis, and the key of the nodes' stream. */
export interface StreamAddress {
  readonly url: string;
  readonly key: string;
}

/** Manages the node processes: starts them, restarts dead ones, and returns them in turn. */
export class Nodes {
  readonly #program: URL;
  readonly #nodes: readonly ClusterNode[];
  readonly #stream: StreamAddress;
  readonly #onChange: (node: NodeStatus) => void;
  /** Callers waiting for a node to be up: empty unless all are down. */
  readonly #waiting = new Set<() => void>();
  #turn = 0;
  #isStopped = false;

  /**
   * @param program - The program of a node. It gets name, framework and key as arguments, the address of Redis as
   *   `REDIS_URL`, and sends its port once it is up.
   * @param onChange - Called whenever the state of a node changes.
   */
  constructor(
    program: URL,
    identities: readonly NodeIdentity[],
    stream: StreamAddress,
    onChange: (node: NodeStatus) => void,
  ) {
    this.#program = program;
    this.#nodes = identities.map((identity) => ({
      identity,
      child: undefined,
      state: "starting",
      port: 0,
    }));
    this.#stream = stream;
    this.#onChange = onChange;
  }

  /** Starts all nodes. Resolves when they are up. */
  async start(): Promise<void> {
    await Promise.all(this.#nodes.map((node) => this.#run(node)));
  }

  status(): NodeStatus[] {
    return this.#nodes.map(statusOf);
  }

  /** Returns the port of the next node in turn, and waits for one if all are down. */
  async next(): Promise<number> {
    for (;;) {
      const up = this.#nodes.filter(({ state }) => state === "up");
      const node = up[this.#turn++ % up.length];
      if (node !== undefined) return node.port;
      await new Promise<void>((resolve) => {
        this.#waiting.add(resolve);
      });
    }
  }

  /**
   * Kills a node like a crash, without a chance to clean up.
   *
   * @returns `false` if no node has this process id.
   */
  kill(pid: number): boolean {
    const node = this.#nodes.find(({ child, state }) => child?.pid === pid && state === "up");
    if (node === undefined) return false;
    return process.kill(pid, "SIGKILL");
  }

  /** Ends all nodes in an orderly way. Resolves when their processes are gone. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await Promise.all(
      this.#nodes.map(async ({ child }) => {
        if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
        const exited = once(child, "exit");
        child.kill("SIGTERM");
        const timer = setTimeout(() => child.kill("SIGKILL"), GRACE_MS);
        await exited;
        clearTimeout(timer);
      }),
    );
  }

  /** Starts a node's process. Resolves when it is up, or has failed and will be restarted. */
  async #run(node: ClusterNode): Promise<void> {
    const { name, framework } = node.identity;
    // In a separate process group: Ctrl-C reaches only main, which then ends the nodes in order.
    const child = fork(this.#program, [name, framework, this.#stream.key], {
      detached: true,
      env: { ...process.env, REDIS_URL: this.#stream.url },
    });
    node.child = child;
    this.#become(node, "starting", 0);
    child.once("exit", () => {
      if (this.#isStopped) return;
      this.#become(node, "down", 0);
      void this.#restart(node);
    });
    const gone = once(child, "exit").then(() => undefined);
    const ready = once(child, "message").then(([message]) => message as { port: number });
    const started = await Promise.race([ready, gone]);
    if (started !== undefined) this.#become(node, "up", started.port);
  }

  async #restart(node: ClusterNode): Promise<void> {
    await delay(RESTART_MS);
    if (!this.#isStopped) await this.#run(node);
  }

  #become(node: ClusterNode, state: NodeStatus["state"], port: number): void {
    node.state = state;
    node.port = port;
    this.#onChange(statusOf(node));
    if (state !== "up") return;
    for (const resolve of this.#waiting) resolve();
    this.#waiting.clear();
  }
}

function statusOf({ identity, child, state }: ClusterNode): NodeStatus {
  return { ...identity, pid: child?.pid, state };
}
