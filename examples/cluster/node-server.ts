import type { Session } from "@tidewire/core";
import type { NodeIdentity } from "./channels.js";

/** The server of one node, with either framework. */
export interface NodeServer {
  readonly port: number;
  /** Ends the open streams and then the server. */
  stop(): Promise<void>;
}

/** Tells a client which node it has reached, and subscribes it to all channels of the page. */
export function join(session: Session, self: NodeIdentity): void {
  // Without an id, because the ids of this stream come from the log. Replayed events follow it, although they are
  // older.
  const data = { ...self, pid: process.pid, now: new Date().toISOString() };
  void session.send({ event: "node", data });
  void session.subscribe(["ticks", "nodes", "~presence:ticks"]);
}
