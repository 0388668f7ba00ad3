import { once } from "node:events";
import net from "node:net";

/** A reply, or a command, which is an array of strings. */
type Value = string | number | null | Value[];

type StreamEntry = [id: string, fields: string[]];

/** A page of the past. */
interface Page {
  readonly entries: number;
  /** Characters of all fields. */
  readonly characters: number;
}

/** Whether a command reads a page of the past. */
export function isPage(args: readonly string[]): boolean {
  return args[0] === "EVAL" && args[1]?.includes('collect("XREVRANGE"') === true;
}

/** Sits between a log and Redis, to observe commands and to act in between. */
export class Tap {
  readonly pages: Page[] = [];
  /** Called with each command before it is forwarded. */
  before: (args: readonly string[]) => Promise<void> | void = () => {};
  readonly url: string;
  readonly #server: net.Server;
  readonly #sockets: Set<net.Socket> = new Set();

  private constructor(server: net.Server, redisPort: number) {
    this.#server = server;
    this.url = `redis://127.0.0.1:${(server.address() as net.AddressInfo).port}`;
    server.on("connection", (client) => this.#accept(client, redisPort));
  }

  static async start(redisPort: number): Promise<Tap> {
    const server = net.createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    return new Tap(server, redisPort);
  }

  async close(): Promise<void> {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await once(this.#server, "close");
  }

  #accept(client: net.Socket, redisPort: number): void {
    const redis = net.connect(redisPort, "127.0.0.1");
    for (const [socket, other] of [
      [client, redis],
      [redis, client],
    ] as const) {
      this.#sockets.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => {
        this.#sockets.delete(socket);
        other.destroy();
      });
    }
    /** Commands without a reply so far. */
    const sent: string[][] = [];
    const commands = new Parser();
    const replies = new Parser();
    /** Commands are forwarded in order of arrival, whatever happens before one of them. */
    let turn: Promise<void> = Promise.resolve();
    client.on("data", (bytes) => {
      for (const { value, raw } of commands.push(bytes)) {
        const args = value as string[];
        turn = turn.then(async () => {
          await this.before(args);
          sent.push(args);
          redis.write(raw, "latin1");
        });
      }
    });
    redis.on("data", (bytes) => {
      for (const { value } of replies.push(bytes)) {
        if (isPage(sent.shift() ?? [])) this.#note(value as Value[]);
      }
      client.write(bytes);
    });
  }

  #note(reply: readonly Value[]): void {
    const entries = reply.at(-1) as StreamEntry[];
    const characters = entries.flatMap(([, fields]) => fields).join("").length;
    this.pages.push({ entries: entries.length, characters });
  }
}

/** Parses RESP2. Text is Latin-1: one character per byte. */
class Parser {
  #text = "";
  #at = 0;

  push(bytes: Buffer): { value: Value; raw: string }[] {
    this.#text += bytes.toString("latin1");
    const values: { value: Value; raw: string }[] = [];
    for (;;) {
      this.#at = 0;
      const value = this.#read();
      if (value === undefined) return values;
      values.push({ value, raw: this.#text.slice(0, this.#at) });
      this.#text = this.#text.slice(this.#at);
    }
  }

  /** @returns `undefined` if more data is needed. */
  #read(): Value | undefined {
    const end = this.#text.indexOf("\r\n", this.#at);
    if (end === -1) return undefined;
    const type = this.#text[this.#at];
    const line = this.#text.slice(this.#at + 1, end);
    this.#at = end + 2;
    if (type === ":") return Number(line);
    if (type !== "$" && type !== "*") return line;
    const size = Number(line);
    if (size === -1) return null;
    if (type === "$") {
      const start = this.#at;
      if (this.#text.length < start + size + 2) return undefined;
      this.#at += size + 2;
      return this.#text.slice(start, start + size);
    }
    const items: Value[] = [];
    while (items.length < size) {
      const item = this.#read();
      if (item === undefined) return undefined;
      items.push(item);
    }
    return items;
  }
}
