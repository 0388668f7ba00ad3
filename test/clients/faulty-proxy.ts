// A proxy in front of a server of streams, which fails in every way that proxies do. It serves the page as well.
import { once } from "node:events";
import http from "node:http";
import type { ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** A request for the stream passes, or gets this status or type. */
export type Mode = "pass" | 502 | "text/html";

export class FaultyProxy {
  mode: Mode = "pass";
  port = 0;
  /** Requests for the stream so far. */
  requests = 0;
  readonly #upstream: number;
  readonly #page: string;
  readonly #script: string;
  /** Answers under way, each with what becomes of its bytes. */
  readonly #answers = new Map<ServerResponse, { fate: "pass" | "swallow" | "reset" }>();
  #server: http.Server | undefined;

  constructor(upstream: number, page: string, script: string) {
    this.#upstream = upstream;
    this.#page = page;
    this.#script = script;
  }

  get origin(): string {
    return `http://localhost:${this.port}`;
  }

  async listen(): Promise<void> {
    const server = http.createServer((request, response) => {
      if (request.url === "/")
        return void response.setHeader("Content-Type", "text/html").end(this.#page);
      if (request.url === "/page.js") {
        return void response.setHeader("Content-Type", "text/javascript").end(this.#script);
      }
      if (request.url !== "/events") return void response.writeHead(404).end();
      this.requests += 1;
      if (this.mode === 502) return void response.writeHead(502).end("Bad Gateway");
      if (this.mode === "text/html") {
        return void response
          .writeHead(200, { "Content-Type": "text/html" })
          .end("<h1>Back soon</h1>");
      }
      this.#forward(request, response);
    });
    server.listen(this.port);
    await once(server, "listening");
    this.#server = server;
    this.port = (server.address() as AddressInfo).port;
  }

  /** Stops listening, and breaks all connections. */
  shut(): void {
    this.#server?.close();
    this.#server?.closeAllConnections();
  }

  /** Breaks all streams. */
  cut(): void {
    for (const response of this.#answers.keys()) response.socket?.destroy();
  }

  /** Breaks each stream with RST in the middle of its next frame. */
  reset(): void {
    for (const answer of this.#answers.values()) answer.fate = "reset";
  }

  /** Forwards no more bytes of the present streams, and not their end. */
  swallow(): void {
    for (const answer of this.#answers.values()) answer.fate = "swallow";
  }

  #forward(request: http.IncomingMessage, response: ServerResponse): void {
    const answer: { fate: "pass" | "swallow" | "reset" } = { fate: "pass" };
    this.#answers.set(response, answer);
    const { headers } = request;
    const upstream = http.get({ port: this.#upstream, path: "/events", headers, agent: false });
    response.once("close", () => {
      this.#answers.delete(response);
      upstream.destroy();
    });
    upstream.on("error", () => void response.destroy());
    upstream.on("response", (incoming) => {
      response.writeHead(incoming.statusCode ?? 502, incoming.headers);
      response.flushHeaders();
      incoming.on("data", (bytes: Buffer) => {
        if (answer.fate === "pass") response.write(bytes);
        if (answer.fate !== "reset") return;
        response.write(bytes.subarray(0, bytes.length / 2), () => {
          response.socket?.resetAndDestroy();
        });
      });
      incoming.on("end", () => {
        if (answer.fate !== "swallow") response.end();
      });
      incoming.on("error", () => void response.destroy());
    });
  }
}
