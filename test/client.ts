import { once } from "node:events";
import http from "node:http";
import http2 from "node:http2";
import net from "node:net";
import type { Readable } from "node:stream";

/** Time limit of any wait in a test, in milliseconds. */
const DEADLINE_MS = 10_000;

export interface RequestOptions {
  readonly method?: string;
  readonly headers?: Record<string, string>;
  readonly body?: string;
  /** Leaves the body of the response unread until `resume()`. */
  readonly paused?: boolean;
}

/** A response being read: status, headers and the text so far. */
export class StreamClient {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** Resolves when the body has ended, in any way. */
  readonly ended: Promise<void>;
  text = "";
  isEnded = false;
  /** Whether the body was cut off instead of ending in order. */
  isBroken = false;
  readonly #body: Readable;
  readonly #cut: (how: "fin" | "rst") => void;
  readonly #release: () => void;
  #onChange = (): void => {};

  constructor(
    status: number,
    headers: Readonly<Record<string, string | string[] | undefined>>,
    body: Readable,
    cut: (how: "fin" | "rst") => void,
    release: () => void,
  ) {
    this.status = status;
    this.headers = headers;
    this.#body = body;
    this.#cut = cut;
    this.#release = release;
    this.ended = new Promise((resolve) => {
      body.once("close", () => {
        this.isEnded = true;
        this.#onChange();
        resolve();
      });
    });
    body.on("error", () => {
      this.isBroken = true;
    });
  }

  resume(): this {
    this.#body.setEncoding("utf8");
    this.#body.on("data", (text: string) => {
      this.text += text;
      this.#onChange();
    });
    return this;
  }

  /** Bytes received by `drop()`. */
  receivedBytes = 0;

  /** Continues to read and discards the data. */
  drop(): void {
    this.#body.on("data", (part: Buffer) => (this.receivedBytes += part.length));
  }

  /** Waits until the text so far contains `part`, and returns it. */
  async until(part: string | RegExp): Promise<string> {
    await within(
      `${JSON.stringify(String(part))} in ${JSON.stringify(this.text.slice(-200))}`,
      new Promise<void>((resolve, reject) => {
        this.#onChange = () => {
          if (typeof part === "string" ? this.text.includes(part) : part.test(this.text)) resolve();
          else if (this.isEnded)
            reject(new Error(`ended before ${part}: ${JSON.stringify(this.text)}`));
        };
        this.#onChange();
      }),
    );
    return this.text;
  }

  /** Waits for the end and returns the whole text. */
  async rest(): Promise<string> {
    await within("the end of the body", this.ended);
    return this.text;
  }

  /** Disconnects like a client that closes its tab (`fin`) or whose connection breaks (`rst`). */
  cut(how: "fin" | "rst" = "fin"): void {
    this.#cut(how);
  }

  /** Frees the connection after the body has ended. */
  release(): void {
    this.#release();
  }
}

/** A server under test, from a client's point of view. */
export interface Target {
  readonly port: number;
  readonly protocol: "http1" | "http2";
}

/** Sends a request and waits for the head of the response. */
export async function request(
  target: Target,
  path: string,
  options: RequestOptions = {},
): Promise<StreamClient> {
  const client = await within(
    `a response to ${path}`,
    target.protocol === "http1" ? request1(target, path, options) : request2(target, path, options),
  );
  return options.paused === true ? client : client.resume();
}

/** Sends a request and leaves without waiting for anything; settles when the request has been sent. */
export async function knock(
  target: Target,
  path: string,
  headers: Record<string, string> = {},
): Promise<{ cut(): void }> {
  if (target.protocol === "http1") {
    const socket = await connect(target.port);
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
    socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\n${lines.join("")}\r\n`);
    return { cut: () => void socket.destroy() };
  }
  const session = http2.connect(`http://127.0.0.1:${target.port}`);
  session.on("error", () => {});
  const stream = session.request({ ":path": path, ...headers });
  stream.on("error", () => {});
  return { cut: () => session.destroy() };
}

/** Opens a bare TCP connection. */
export async function connect(port: number): Promise<net.Socket> {
  const socket = net.connect(port, "127.0.0.1");
  socket.on("error", () => {});
  await once(socket, "connect");
  return socket;
}

/** Fails with a message instead of hanging. */
export async function within<T>(what: string, promise: Promise<T>, ms = DEADLINE_MS): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`Waited ${ms} ms for ${what}`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Waits until `isTrue` holds. For states without an event.
 *
 * @param what - Description of the state. A function is called on failure, and can describe the actual state.
 */
export async function eventually(
  what: string | (() => string),
  isTrue: () => boolean,
  ms = DEADLINE_MS,
): Promise<void> {
  const end = performance.now() + ms;
  while (!isTrue()) {
    if (performance.now() > end) {
      throw new Error(`Waited ${ms} ms for ${typeof what === "string" ? what : what()}`);
    }
    await new Promise((resolve) => {
      setTimeout(resolve, 5);
    });
  }
}

function request1({ port }: Target, path: string, options: RequestOptions): Promise<StreamClient> {
  return new Promise((resolve, reject) => {
    const outgoing = http.request({
      port,
      host: "127.0.0.1",
      path,
      method: options.method ?? "GET",
      headers: options.headers ?? {},
      agent: false,
    });
    outgoing.on("error", reject);
    outgoing.on("response", (response) => {
      const { socket } = response;
      resolve(
        new StreamClient(
          response.statusCode ?? 0,
          response.headers,
          response,
          (how) => void (how === "rst" ? socket.resetAndDestroy() : socket.destroy()),
          () => void socket.destroy(),
        ),
      );
    });
    outgoing.end(options.body);
  });
}

function request2({ port }: Target, path: string, options: RequestOptions): Promise<StreamClient> {
  return new Promise((resolve, reject) => {
    const session = http2.connect(`http://127.0.0.1:${port}`);
    session.on("error", () => {});
    const stream = session.request({
      ":path": path,
      ":method": options.method ?? "GET",
      ...options.headers,
    });
    stream.on("error", reject);
    stream.on("response", (headers) => {
      resolve(
        new StreamClient(
          headers[":status"] ?? 0,
          headers,
          stream,
          (how) =>
            how === "rst" ? stream.close(http2.constants.NGHTTP2_CANCEL) : session.destroy(),
          () => session.destroy(),
        ),
      );
    });
    stream.on("close", () => {
      session.close();
      // Does nothing once there was an answer.
      reject(new Error("The stream was closed without a response"));
    });
    stream.end(options.body);
  });
}
