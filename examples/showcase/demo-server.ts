import type { Hub } from "@tidewire/core";
import type { Runs } from "@tidewire/runs";
import type { Channels } from "./channels.js";
import type { Clients } from "./clients.js";

/** Name and port of a server. */
export interface ServerAddress {
  readonly name: "Express" | "Fastify";
  readonly port: number;
}

/** The parts that both servers share, and their addresses. */
export interface Setting {
  readonly hub: Hub<Channels>;
  /** The texts that are being written, each under the key of its tab. */
  readonly runs: Runs;
  readonly clients: Clients;
  readonly self: ServerAddress;
  readonly other: ServerAddress;
  /** Stops both servers and starts new ones. Returns at once. */
  readonly restart: () => void;
}

/** One of the two servers, on either framework. */
export interface DemoServer {
  /** Rejects if the port is taken. */
  start(): Promise<void>;
  /** Ends the open streams, then the server. Resolves when its port is free. */
  stop(): Promise<void>;
}
