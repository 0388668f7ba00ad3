import type { ServerSubjectName } from "./catalogue.js";
import { Load } from "./load.js";
import { NchanServer } from "./nchan-server.js";
import { NodeServer } from "./server.js";
import type { Server, ServerOptions } from "./server.js";

/** A subject's server and clients: two processes measured together. */
export class Pair<Kind extends Server = Server> {
  readonly server: Kind;
  readonly load: Load;
  readonly subject: ServerSubjectName;
  /** Sequence number of the next event. */
  sequence = 0;

  constructor(subject: ServerSubjectName, server: Kind) {
    this.subject = subject;
    this.server = server;
    this.load = new Load(subject);
    server.onCrash = (error) => this.load.fail(error);
  }

  async stop(): Promise<void> {
    await Promise.all([this.load.stop(), this.server.stop()]);
  }
}

/** Starts a subject's server and its load. */
export async function startPair(subject: ServerSubjectName, options: ServerOptions): Promise<Pair> {
  const server =
    subject === "nchan" ? await NchanServer.start() : await NodeServer.start(subject, options);
  return new Pair(subject, server);
}
