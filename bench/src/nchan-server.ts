import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { rmSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { Agent, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { eventText } from "./event-text.js";
import { BACKLOG, freePort } from "./listen.js";
import { NCHAN_MODULE, nginxProgram } from "./nchan-installation.js";
import { readCpuUs } from "./process-cpu.js";
import { sharedNow } from "./remote.js";
import type { Server } from "./server.js";
import type { PublishOrder, ServerReport } from "./server-protocol.js";

/**
 * Nchan in nginx with one worker; events are published over one persistent connection.
 */
export class NchanServer implements Server {
  onCrash: (error: Error) => void = () => {};
  readonly port: number;
  readonly #process: ChildProcess;
  readonly #directory: string;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });
  #publishedAt: number[] = [];
  #cpuAtBegin = 0;
  #isStopping = false;

  private constructor(port: number, directory: string) {
    this.port = port;
    this.#directory = directory;
    this.#process = spawn(nginxProgram() ?? "", ["-p", directory, "-c", "nginx.conf"], {
      stdio: "ignore",
    });
    this.#process.once("exit", () => {
      if (!this.#isStopping) this.onCrash(new Error("nginx ended by itself"));
    });
    process.once("exit", this.#kill);
  }

  /** Starts nginx on a free port. */
  static async start(): Promise<NchanServer> {
    const directory = await mkdtemp(join(tmpdir(), "tidewire-bench-nginx-"));
    const port = await freePort();
    await writeFile(join(directory, "nginx.conf"), configuration(port));
    const server = new NchanServer(port, directory);
    for (let tries = 0; tries < 100; tries++) {
      await wait(50);
      if ((await server.#workers()).length > 0 && (await isListening(port))) return server;
    }
    await server.stop();
    throw new Error("nginx did not start");
  }

  publish({ first, count, bytes }: PublishOrder): void {
    this.#publishedAt.push(sharedNow());
    for (let done = 0; done < count; done++) this.#post(eventText(first + done, bytes));
  }

  async begin(): Promise<void> {
    this.#publishedAt = [];
    this.#cpuAtBegin = await this.#cpuUs();
  }

  async end(): Promise<ServerReport> {
    const cpuUs = (await this.#cpuUs()) - this.#cpuAtBegin;
    return { cpuUs, bodyBytes: undefined, publishedAt: this.#publishedAt };
  }

  async stop(): Promise<void> {
    this.#isStopping = true;
    this.#agent.destroy();
    process.off("exit", this.#kill);
    const exited = new Promise((resolve) => this.#process.once("exit", resolve));
    if (this.#process.exitCode === null && this.#process.signalCode === null) {
      this.#process.kill("SIGTERM");
      await exited;
    }
    await rm(this.#directory, { recursive: true, force: true });
  }

  readonly #kill = (): void => {
    this.#process.kill("SIGTERM");
    rmSync(this.#directory, { recursive: true, force: true });
  };

  #post(text: string): void {
    const post = request({
      agent: this.#agent,
      host: "127.0.0.1",
      port: this.port,
      path: "/publish",
      method: "POST",
      headers: { "Content-Type": "text/plain", "Content-Length": text.length },
    });
    post.on("response", (response) => {
      response.resume();
      const status = response.statusCode ?? 0;
      if (status < 200 || status > 299) this.onCrash(new Error(`Nchan answered ${status}`));
    });
    post.on("error", (error) => {
      if (!this.#isStopping) this.onCrash(error);
    });
    post.end(text);
  }

  /** @returns Process ids of the workers. */
  async #workers(): Promise<string[]> {
    const { pid } = this.#process;
    try {
      const children = await readFile(`/proc/${pid}/task/${pid}/children`, "utf8");
      return children.trim().split(" ").filter(Boolean);
    } catch {
      return [];
    }
  }

  /** @returns CPU time of the workers so far. The master only waits. */
  async #cpuUs(): Promise<number> {
    let sum = 0;
    for (const pid of await this.#workers()) sum += await readCpuUs(pid);
    return sum;
  }
}

function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = request({ host: "127.0.0.1", port, path: "/" }, (response) => {
      response.resume();
      resolve(true);
    });
    probe.once("error", () => resolve(false));
    probe.end();
  });
}

function configuration(port: number): string {
  // Workers of a root master would run as nobody, which cannot write to the directory.
  const user = process.getuid?.() === 0 ? "user root;" : "";
  const directories = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
  return `
${user}
daemon off;
worker_processes 1;
worker_rlimit_nofile 20000;
pid nginx.pid;
error_log error.log crit;
load_module ${NCHAN_MODULE};
events { worker_connections 19000; }
http {
  access_log off;
  keepalive_requests 1000000;
  ${directories.map((name) => `${name}_temp_path ${name};`).join("\n  ")}
  server {
    listen 127.0.0.1:${port} backlog=${BACKLOG};
    location = /publish {
      nchan_publisher;
      nchan_channel_id all;
      nchan_message_buffer_length 1;
      nchan_message_timeout 10s;
    }
    location = /events {
      nchan_subscriber eventsource;
      nchan_subscriber_first_message newest;
      nchan_channel_id all;
      nchan_eventsource_ping_interval 0;
    }
    location / { return 404; }
  }
}
`;
}
