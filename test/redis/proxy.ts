import { once } from "node:events";
import net from "node:net";

/** A connection through the proxy. */
interface Link {
  readonly client: net.Socket;
  readonly redis: net.Socket;
  /** Set once neither bytes nor the end of either side are forwarded any more. */
  isFrozen: boolean;
}

/** A planned cut. */
interface Cut {
  readonly command: string;
  readonly reply: RegExp;
  readonly done: () => void;
}

/**
 * Sits between a node and Redis and behaves like a faulty network: it loses replies, and falls silent without notifying
 * either side.
 */
export class RedisProxy {
  readonly port: number;
  /** Times of all connection attempts, on the clock of `performance.now()`. */
  readonly attempts: number[] = [];
  readonly #server: net.Server;
  readonly #redisPort: number;
  readonly #links: Set<Link> = new Set();
  /** Connections that are accepted and never answered. */
  readonly #ignored: Set<net.Socket> = new Set();
  #takesNew = true;
  #isShut = false;
  /** Bytes a second from Redis to all clients together; `undefined` for no limit. */
  bytesPerSecond: number | undefined;
  /** Called with all data that clients send. */
  onSent: (bytes: Buffer) => void = () => {};
  /** Bytes from Redis. */
  received = 0;
  /** Set until the planned reply has been lost. */
  #cut: Cut | undefined;

  private constructor(server: net.Server, redisPort: number) {
    this.#server = server;
    this.#redisPort = redisPort;
    this.port = (server.address() as net.AddressInfo).port;
    server.on("connection", (client) => this.#accept(client));
  }

  static async start(redisPort: number): Promise<RedisProxy> {
    const server = net.createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    return new RedisProxy(server, redisPort);
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  /** Number of open connections that are not frozen. */
  get linkCount(): number {
    return [...this.#links].filter(({ isFrozen }) => !isFrozen).length;
  }

  /**
   * Loses the reply to the next command that contains `command`, and cuts its connection.
   *
   * The command is forwarded, and the connection is cut only when a matching reply arrives. Redis has then certainly
   * executed the command, and the client does not know.
   *
   * @returns Settles once that has happened.
   */
  cutReplyTo(command: string, reply: RegExp): Promise<void> {
    return new Promise((resolve) => {
      this.#cut = { command, reply, done: resolve };
    });
  }

  /**
   * Falls silent on all present connections: neither data nor an end nor a reset is forwarded.
   *
   * @param takesNew - Whether later connections work. If not, they are accepted but never answered, as by a machine
   *   that hangs.
   */
  freeze(takesNew: boolean): void {
    this.#takesNew = takesNew;
    for (const link of this.#links) {
      link.isFrozen = true;
      link.client.pause();
      link.redis.pause();
    }
  }

  /** Lets new connections work again. Frozen and ignored ones do not recover. */
  takeNew(): void {
    this.#takesNew = true;
  }

  /** Cuts all connections, and refuses new ones until `open` is called. */
  shut(): void {
    this.#isShut = true;
    for (const { client, redis } of this.#links) {
      client.resetAndDestroy();
      redis.destroy();
    }
  }

  /** Accepts connections again. */
  open(): void {
    this.#isShut = false;
  }

  async close(): Promise<void> {
    this.#server.close();
    for (const { client, redis } of this.#links) {
      client.destroy();
      redis.destroy();
    }
    for (const client of this.#ignored) client.destroy();
    await once(this.#server, "close");
  }

  #accept(client: net.Socket): void {
    this.attempts.push(performance.now());
    client.on("error", () => {});
    if (this.#isShut) {
      client.resetAndDestroy();
      return;
    }
    if (!this.#takesNew) {
      this.#ignored.add(client.pause());
      return;
    }
    const redis = net.connect(this.#redisPort, "127.0.0.1");
    redis.on("error", () => {});
    const link: Link = { client, redis, isFrozen: false };
    this.#links.add(link);
    /** Set once the command whose reply will be lost was forwarded. */
    let cut: Cut | undefined;
    let lost = "";
    client.on("data", (bytes) => {
      this.onSent(bytes);
      if (this.#cut !== undefined && bytes.includes(this.#cut.command)) {
        cut = this.#cut;
        this.#cut = undefined;
      }
      redis.write(bytes);
    });
    redis.on("data", (bytes) => {
      this.received += bytes.length;
      if (cut === undefined) {
        client.write(bytes);
        if (this.bytesPerSecond === undefined) return;
        redis.pause();
        setTimeout(() => redis.resume(), (1_000 * bytes.length) / this.bytesPerSecond);
        return;
      }
      lost += bytes.toString("latin1");
      if (!cut.reply.test(lost)) return;
      client.destroy();
      cut.done();
    });
    const end = (other: net.Socket): void => {
      if (link.isFrozen) return;
      this.#links.delete(link);
      other.destroy();
    };
    client.on("close", () => end(redis));
    redis.on("close", () => end(client));
  }
}

/** @returns The largest number of these times within any `spanMs`. */
export function mostWithin(spanMs: number, times: readonly number[]): number {
  let most = 0;
  let first = 0;
  for (const [at, time] of times.entries()) {
    while (time - (times[first] as number) >= spanMs) first += 1;
    most = Math.max(most, at - first + 1);
  }
  return most;
}
