import type { Socket } from "node:net";
import { connect, within } from "../client.js";

/** A response as received over the wire. */
export interface RawResponse {
  readonly head: string;
  /** Everything after the head, chunk framing included. */
  readonly raw: Buffer;
  /** Content of the chunks, joined; `raw` if there are none. */
  readonly body: Buffer;
  /** Lengths of the chunks, without the last one. */
  readonly sizes: readonly number[];
  /** Text between the last chunk and the end. */
  readonly trailers: string;
  /** Whether the last chunk has arrived. Without chunks, a response ends with the connection. */
  readonly isEnded: boolean;
}

/** End of a chunked body. */
export const LAST_CHUNK: Buffer = Buffer.from("\r\n0\r\n\r\n");

/** A client over a bare socket that keeps every byte. */
export class RawClient {
  readonly socket: Socket;
  isClosed = false;
  #received: Buffer[] = [];
  #onChange = (): void => {};

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on("error", () => {});
    socket.on("data", (bytes: Buffer) => {
      this.#received.push(bytes);
      this.#onChange();
    });
    socket.on("close", () => {
      this.isClosed = true;
      this.#onChange();
    });
  }

  static async open(port: number): Promise<RawClient> {
    return new RawClient(await connect(port));
  }

  /** Sends GET requests for these paths in one write. */
  get(paths: readonly string[], version = "1.1", headers = ""): this {
    const requests = paths.map(
      (path) => `GET ${path} HTTP/${version}\r\nHost: localhost\r\n${headers}\r\n`,
    );
    this.socket.write(requests.join(""));
    return this;
  }

  /** Discards everything received so far. */
  forget(): void {
    this.#received = [];
  }

  /** All bytes so far. */
  get bytes(): Buffer {
    this.#received = [Buffer.concat(this.#received)];
    return this.#received[0] ?? Buffer.alloc(0);
  }

  /** Number of bytes so far. */
  get length(): number {
    return this.#received.reduce((sum, { length }) => sum + length, 0);
  }

  /** Whether the bytes so far end with these. Joins no more of them than necessary. */
  endsWith(end: Buffer): boolean {
    let last = Buffer.alloc(0);
    for (let i = this.#received.length - 1; i >= 0 && last.length < end.length; i--) {
      last = Buffer.concat([this.#received[i]!, last]);
    }
    return last.subarray(-end.length).equals(end);
  }

  /** The responses so far, of which the last may be incomplete. Throws if one is invalid. */
  get responses(): RawResponse[] {
    return parseResponses(this.bytes);
  }

  /** The response at an index, which must have begun. */
  response(index = 0): RawResponse {
    const response = this.responses[index];
    if (response === undefined) throw new Error(`No response ${index}`);
    return response;
  }

  /** Waits for a condition, which is checked whenever bytes arrive. */
  async until(what: string, isTrue: () => boolean): Promise<void> {
    const met = new Promise<void>((resolve) => {
      this.#onChange = () => {
        if (!isTrue()) return;
        // Checking all later bytes as well would cost more than receiving them.
        this.#onChange = () => {};
        resolve();
      };
    });
    this.#onChange();
    await within(what, met);
  }

  /** Waits until the body of a response holds a text. */
  async untilBody(part: string, index = 0): Promise<void> {
    await this.until(
      `${JSON.stringify(part.slice(0, 80))} in response ${index}`,
      () => this.responses[index]?.body.includes(part) === true,
    );
  }

  /** Waits until the server has closed the connection. */
  async untilClosed(): Promise<void> {
    await this.until("the connection to close", () => this.isClosed);
  }
}

/** Parses the bytes received over a connection. */
function parseResponses(bytes: Buffer): RawResponse[] {
  const responses: RawResponse[] = [];
  let start = 0;
  for (;;) {
    const headEnd = bytes.indexOf("\r\n\r\n", start);
    if (headEnd === -1) return responses;
    const head = bytes.toString("latin1", start, headEnd);
    if (!head.startsWith("HTTP/1.1 ")) throw new Error(`Not a head: ${head.slice(0, 100)}`);
    const rest = bytes.subarray(headEnd + 4);
    if (!/^transfer-encoding: chunked$/im.test(head)) {
      responses.push({ head, raw: rest, body: rest, sizes: [], trailers: "", isEnded: false });
      return responses;
    }
    const { length, ...response } = parseChunks(rest);
    responses.push({ head, ...response });
    if (!response.isEnded) return responses;
    start = headEnd + 4 + length;
  }
}

function parseChunks(bytes: Buffer): Omit<RawResponse, "head"> & { readonly length: number } {
  const parts: Buffer[] = [];
  const result = (end: number, isEnded: boolean, trailers = "") => ({
    raw: bytes.subarray(0, end),
    body: Buffer.concat(parts),
    sizes: parts.map(({ length }) => length),
    trailers,
    isEnded,
    length: end,
  });
  for (let start = 0; ;) {
    const lineEnd = bytes.indexOf("\r\n", start);
    if (lineEnd === -1) return result(bytes.length, false);
    const line = bytes.toString("latin1", start, lineEnd);
    // In Node's format: without leading zeros, extensions or capitals.
    if (!/^(0|[1-9a-f][0-9a-f]*)$/.test(line))
      throw new Error(`Not a length: ${line.slice(0, 80)}`);
    const size = Number.parseInt(line, 16);
    const end = lineEnd + 2 + size;
    if (size === 0) {
      const trailersEnd = bytes.indexOf("\r\n\r\n", lineEnd);
      if (trailersEnd === -1) return result(bytes.length, false);
      return result(trailersEnd + 4, true, bytes.toString("latin1", end, trailersEnd));
    }
    if (bytes.length < end + 2) return result(bytes.length, false);
    if (bytes.toString("latin1", end, end + 2) !== "\r\n") {
      throw new Error(`A chunk of ${size} does not end where it should`);
    }
    parts.push(bytes.subarray(lineEnd + 2, end));
    start = end + 2;
  }
}
