import { baseOf } from "./catalogue.js";
import type { NodeServerName } from "./catalogue.js";
import { programFor } from "./other-checkout.js";
import { Remote } from "./remote.js";
import type { PublishOrder, ServerProtocol, ServerReport } from "./server-protocol.js";
import { RARE_HEARTBEAT_MS } from "./subject.js";

/** A server in a separate process, as the suites drive it. */
export interface Server {
  readonly port: number;
  /** Publishes; the load reports when the events have arrived. */
  publish(order: PublishOrder): void;
  /** Begins the measured section. */
  begin(): Promise<void>;
  /** Ends it. */
  end(): Promise<ServerReport>;
  stop(): Promise<void>;
  /** Called if the process ends by itself. */
  onCrash: (error: Error) => void;
}

/** Options for starting a server process. */
export interface ServerOptions {
  /** Heartbeat interval. By default no heartbeat falls into a measurement. */
  readonly heartbeatMs?: number | false;
  /** Address of Redis, for subjects that need it. */
  readonly redisUrl?: string;
  /** Where to write a CPU profile. */
  readonly cpuProfileDir?: string | undefined;
  /** `true` if memory will be measured. */
  readonly exposesGc?: boolean;
}

/** The server of a subject that runs in Node. */
export class NodeServer implements Server {
  readonly remote: Remote<ServerProtocol>;
  readonly port: number;

  private constructor(remote: Remote<ServerProtocol>, port: number) {
    this.remote = remote;
    this.port = port;
  }

  /** Starts it. */
  static async start(subject: NodeServerName, options: ServerOptions = {}): Promise<NodeServer> {
    const { heartbeatMs = RARE_HEARTBEAT_MS, cpuProfileDir, exposesGc = false } = options;
    const { redisUrl } = options;
    const flags = profileFlags(subject, cpuProfileDir);
    if (exposesGc) flags.push("--expose-gc");
    const program = programFor(subject, "server-process.js");
    const remote = new Remote<ServerProtocol>(`The server of ${subject}`, program, flags);
    const { port } = await remote.call("start", {
      subject: baseOf(subject),
      heartbeatMs,
      ...(redisUrl !== undefined && { redisUrl }),
    });
    return new NodeServer(remote, port);
  }

  set onCrash(fn: (error: Error) => void) {
    this.remote.onCrash = fn;
  }

  publish(order: PublishOrder): void {
    this.remote.tell("publish", order);
  }

  begin(): Promise<void> {
    return this.remote.call("begin", null);
  }

  end(): Promise<ServerReport> {
    return this.remote.call("end", null);
  }

  stop(): Promise<void> {
    return this.remote.stop();
  }
}

let profiles = 0;

/** @returns Flags that make a process write a CPU profile, if requested. */
export function profileFlags(name: string, directory: string | undefined): string[] {
  if (directory === undefined) return [];
  const file = `${name}-${++profiles}-${Date.now()}.cpuprofile`;
  return ["--cpu-prof", `--cpu-prof-dir=${directory}`, `--cpu-prof-name=${file}`];
}
