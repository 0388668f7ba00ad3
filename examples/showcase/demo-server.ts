import type { Feed } from "./feed.js";

/** Which server the page talks to: a name for people and a port for the page's links. */
export interface ServerAddress {
  readonly name: "Express" | "Fastify";
  readonly port: number;
}

/** What both servers are made of. */
export interface Setting {
  readonly feed: Feed;
  readonly self: ServerAddress;
  readonly other: ServerAddress;
}

/** One of the two servers, whatever it is made with. */
export interface DemoServer {
  /** Rejects if the port is taken. */
  start(): Promise<void>;
  /** Ends the open streams and then the server. */
  stop(): Promise<void>;
}

/**
 * Options of the CORS package: the pages of both servers may read the streams of either, with cookies.
 */
export function corsFor({ self, other }: Setting): {
  origin: string[];
  credentials: true;
  methods: string[];
} {
  const origin = [self, other].flatMap(({ port }) => [
    `http://localhost:${port}`,
    `http://127.0.0.1:${port}`,
  ]);
  // POST is for /text; without it a page of the other server could only listen.
  return { origin, credentials: true, methods: ["GET", "POST"] };
}
