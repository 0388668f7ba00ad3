import type { Session } from "@tidewire/core";
import type { NodeIdentity } from "./channels.js";

/** The server of one node, whatever it is made with. */
export interface NodeServer {
  readonly port: number;
  /** Ends the open streams and then the server. */
  stop(): Promise<void>;
}

/** Tells a client which node it has reached, and subscribes it to everything that the page shows. */
export function join(session: Session, self: NodeIdentity): void {
  // Without an id, as the ids of this stream are the log's. What is replayed comes after it and is older.
  const data = { ...self, pid: process.pid, now: new Date().toISOString() };
  void session.send({ event: "node", data });
  void session.subscribe(["ticks", "nodes"]);
}
