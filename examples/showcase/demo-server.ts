import type { Hub } from "@tidewire/core";
import type { Channels } from "./channels.js";
import type { Clients } from "./clients.js";

/** Which server the page talks to: a name for people and a port for the page's links. */
export interface ServerAddress {
  readonly name: "Express" | "Fastify";
  readonly port: number;
}

/** What both servers are made of. */
export interface Setting {
  readonly hub: Hub<Channels>;
  readonly clients: Clients;
  readonly self: ServerAddress;
  readonly other: ServerAddress;
  /** Stops both servers and starts new ones, soon. */
  readonly restart: () => void;
}

/** One of the two servers, whatever it is made with. */
export interface DemoServer {
  /** Rejects if the port is taken. */
  start(): Promise<void>;
  /** Ends the open streams and then the server. Resolves when its port is free. */
  stop(): Promise<void>;
}
