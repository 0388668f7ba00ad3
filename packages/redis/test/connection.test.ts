import { once } from "node:events";
import net from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { afterEach, describe, expect, it, vi } from "vitest";
import { isRefusal, parseUrl } from "../src/client.js";
import type { Client, ConnectionOptions } from "../src/client.js";
import { Connection } from "../src/connection.js";
import type { Locator } from "../src/locator.js";

/** Implements the part of the Redis protocol that a client needs to connect. */
class Listener {
  readonly port: number;
  readonly sockets: net.Socket[] = [];
  /** Commands received on all connections, in order. */
  readonly commands: string[][] = [];
  /** Returns the reply; `undefined` for none. */
  reply: (args: readonly string[]) => string | undefined = replyAsRedis;
  readonly #server: net.Server;

  private constructor(server: net.Server) {
    this.#server = server;
    this.port = (server.address() as net.AddressInfo).port;
    server.on("connection", (socket) => {
      this.sockets.push(socket);
      socket.on("error", () => {});
      let received = "";
      socket.setEncoding("latin1").on("data", (text: string) => {
        received += text;
        for (;;) {
          const parsed = parseCommand(received);
          if (parsed === undefined) return;
          received = received.slice(parsed.length);
          this.commands.push(parsed.args);
          const reply = this.reply(parsed.args);
          if (reply !== undefined) socket.write(reply);
        }
      });
    });
  }

  static async start(): Promise<Listener> {
    const server = net.createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const listener = new Listener(server);
    closers.push(() => listener.close());
    return listener;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  get openCount(): number {
    return this.sockets.filter(({ destroyed }) => !destroyed).length;
  }

  countOf(name: string): number {
    return this.commands.filter(([command]) => command === name).length;
  }

  /** Cuts all connections. */
  cut(): void {
    for (const socket of this.sockets) socket.resetAndDestroy();
  }

  async close(): Promise<void> {
    if (!this.#server.listening) return;
    this.#server.close();
    this.cut();
    await once(this.#server, "close");
  }
}

function replyAsRedis([command, argument]: readonly string[]): string {
  if (command === "PING") return "+PONG\r\n";
  if (command === "ECHO") return `+${argument}\r\n`;
  return "+OK\r\n";
}

function parseCommand(text: string): { args: string[]; length: number } | undefined {
  const head = /^\*(\d+)\r\n/.exec(text);
  if (head === null) return undefined;
  const args: string[] = [];
  let at = head[0].length;
  for (let left = Number(head[1]); left > 0; left--) {
    const size = /^\$(\d+)\r\n/.exec(text.slice(at));
    if (size === null) return undefined;
    at += size[0].length;
    const end = at + Number(size[1]);
    if (text.length < end + 2) return undefined;
    args.push(text.slice(at, end));
    at = end + 2;
  }
  return { args, length: at };
}

/** A connection and its recorded events. */
interface Observed {
  readonly connection: Connection;
  readonly ups: Client[];
  readonly downs: unknown[];
}

const closers: (() => Promise<unknown> | void)[] = [];

afterEach(async () => {
  vi.useRealTimers();
  vi.restoreAllMocks();
  for (const close of closers.splice(0).toReversed()) await close();
});

function observe(find: Locator["find"], hasFailover = false): Observed {
  const ups: Client[] = [];
  const downs: unknown[] = [];
  const connection = new Connection({ find, hasFailover }, true, {
    up: (client) => void ups.push(client),
    down: (error) => void downs.push(error),
  });
  closers.push(() => connection.close());
  return { connection, ups, downs };
}

/** @returns A function that always returns the server at an address. */
function findAt(url: string): Locator["find"] {
  return () => Promise.resolve(parseUrl(url));
}

function connectTo(listener: Listener): Observed {
  return observe(findAt(listener.url));
}

/** @returns The client, once it is usable. */
function used(connection: Connection, isPatient?: boolean): Promise<Client> {
  return new Promise((resolve, reject) => {
    connection.use(resolve, reject, isPatient);
  });
}

async function settled(what: string, isTrue: () => boolean): Promise<void> {
  await vi.waitFor(() => expect(isTrue(), what).toBe(true), { timeout: 5_000, interval: 2 });
}

describe("Connection", () => {
  it("does nothing before it is needed", async () => {
    const listener = await Listener.start();
    const { connection, ups, downs } = connectTo(listener);
    const client = await used(connection);
    // The only connection so far, opened for the first caller.
    expect(listener.sockets.length).toBe(1);
    expect(ups).toEqual([client]);
    expect(downs).toEqual([]);
    expect(await client.sendCommand(["ECHO", "hello"])).toBe("hello");
    connection.start();
    connection.start();
    expect(await used(connection)).toBe(client);
    expect(listener.sockets.length).toBe(1);
  });

  it("passes on all settings besides the address", async () => {
    const listener = await Listener.start();
    const { connection } = observe(findAt(`redis://:secret@127.0.0.1:${listener.port}/3`));
    await used(connection);
    expect(listener.commands).toContainEqual(["AUTH", "secret"]);
    expect(listener.commands).toContainEqual(["SELECT", "3"]);
  });

  it("looks the server up each time", async () => {
    const first = await Listener.start();
    const second = await Listener.start();
    const listeners = [first, second];
    const { connection, ups } = observe(async () => parseUrl(listeners.shift()!.url));
    await used(connection);
    first.cut();
    await settled("the second one", () => ups.length === 2);
    expect([first.sockets.length, second.sockets.length]).toEqual([1, 1]);
  });

  it("serves waiting callers in order, before any new caller", async () => {
    const listener = await Listener.start();
    const order: string[] = [];
    const connection = new Connection({ find: findAt(listener.url), hasFailover: false }, false, {
      up: () => void order.push("up"),
      down: () => {},
    });
    closers.push(() => connection.close());
    const fail = (): void => void order.push("failed");
    connection.use(() => {
      order.push("first");
      // The client is connected now, so this call is served at once.
      connection.use(() => order.push("inner"), fail);
    }, fail);
    connection.use(() => order.push("second"), fail, true);
    connection.use(() => order.push("third"), fail);
    expect(order).toEqual([]);
    await settled("all", () => order.length === 5);
    expect(order).toEqual(["up", "first", "inner", "second", "third"]);
  });

  it("is not usable while Redis loads its data", async () => {
    const listener = await Listener.start();
    let pings = 0;
    listener.reply = (args) =>
      args[0] === "PING" && ++pings <= 2
        ? "-LOADING Redis is loading the dataset in memory\r\n"
        : replyAsRedis(args);
    const { connection, ups, downs } = connectTo(listener);
    await used(connection);
    expect(pings).toBe(3);
    expect(ups.length).toBe(1);
    expect(downs.map((error) => [isRefusal(error), String(error).includes("LOADING")])).toEqual([
      [true, true],
      [true, true],
    ]);
    // Abandoned connections are closed.
    await settled("one left", () => listener.openCount === 1);
  });

  it("reconnects after a loss, and callers wait meanwhile", async () => {
    const listener = await Listener.start();
    const { connection, ups, downs } = connectTo(listener);
    const before = await used(connection);
    listener.cut();
    await settled("the loss", () => downs.length === 1);
    const after = await used(connection);
    expect(after).not.toBe(before);
    expect(ups).toEqual([before, after]);
    expect(downs).toEqual([expect.any(Error)]);
    expect(await after.sendCommand(["ECHO", "again"])).toBe("again");
  });

  it("does not resend commands that were sent but not answered", async () => {
    const listener = await Listener.start();
    listener.reply = (args) => (args[0] === "XADD" ? undefined : replyAsRedis(args));
    const { connection } = connectTo(listener);
    const before = await used(connection);
    const added = before.sendCommand(["XADD", "tidewire", "*", "d", "x"]);
    const failure = added.then(
      () => undefined,
      (error: unknown) => error,
    );
    await settled("the command", () => listener.countOf("XADD") === 1);
    listener.cut();
    const error = await failure;
    expect(error).toBeInstanceOf(Error);
    // Otherwise a publisher would wrongly learn that its event is certainly not in the stream.
    expect(isRefusal(error)).toBe(false);
    const after = await used(connection);
    // Commands are executed in order, so a resent one would have come before.
    expect(await after.sendCommand(["ECHO", "end"])).toBe("end");
    expect(listener.countOf("XADD")).toBe(1);
    // A closed client does not queue commands either.
    await expect(before.sendCommand(["XADD", "tidewire", "*", "d", "y"])).rejects.toThrow(Error);
  });

  it("counts every piece of data that it receives, even in the middle of a reply", async () => {
    const listener = await Listener.start();
    listener.reply = (args) => (args[0] === "GET" ? undefined : replyAsRedis(args));
    const { connection } = connectTo(listener);
    const client = await used(connection);
    const value = client.sendCommand(["GET", "large"]);
    await settled("the command", () => listener.countOf("GET") === 1);
    let before = connection.received;
    for (const piece of ["$6", "\r\nab", "cd", "ef"]) {
      listener.sockets[0]?.write(piece);
      await settled(`a piece: ${piece}`, () => connection.received > before);
      before = connection.received;
    }
    listener.sockets[0]?.write("\r\n");
    expect(await value).toBe("abcdef");
  });

  it("is used at once by an owner that skips the probe", async () => {
    const listener = await Listener.start();
    const ups: Client[] = [];
    const connection = new Connection({ find: findAt(listener.url), hasFailover: false }, false, {
      up: (client) => void ups.push(client),
      down: () => {},
    });
    closers.push(() => connection.close());
    const client = await used(connection);
    expect(await client.sendCommand(["ECHO", "first"])).toBe("first");
    // No other command was sent first, which would have cost another round trip.
    expect(listener.commands).toEqual([["ECHO", "first"]]);
  });

  it("is reopened when its owner reports that it does not work", async () => {
    const listener = await Listener.start();
    const { connection, ups, downs } = connectTo(listener);
    const before = await used(connection);
    const reason = new Error("half dead");
    connection.fail(reason);
    await settled("the loss", () => downs.length === 1);
    const after = await used(connection, true);
    expect(after).not.toBe(before);
    expect(downs).toEqual([reason]);
    expect(ups.length).toBe(2);
    await settled("the first one cut", () => listener.openCount === 1);
  });

  it("abandons a connection that is accepted but never answered", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    vi.spyOn(Math, "random").mockReturnValue(0);
    const listener = await Listener.start();
    listener.reply = () => undefined;
    const { connection, downs, ups } = connectTo(listener);
    connection.start();
    const until = async (isTrue: () => boolean): Promise<void> => {
      // Real time, because the listener does not depend on timers.
      while (!isTrue()) await new Promise(setImmediate);
    };
    await until(() => listener.commands.length > 0);
    await vi.advanceTimersByTimeAsync(4_999);
    expect(downs).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);
    expect(downs).toEqual([new Error("Redis did not answer within 5000 ms")]);
    await until(() => listener.openCount === 0);
    listener.reply = replyAsRedis;
    await vi.advanceTimersByTimeAsync(50);
    await until(() => ups.length === 1);
    expect(listener.sockets.length).toBe(2);
  });

  it("tries again after pauses that double up to five seconds, each drawn at random", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
    const random = vi.spyOn(Math, "random");
    const pausesFor = async (drawn: number, count: number): Promise<number[]> => {
      random.mockReturnValue(drawn);
      const attempts: number[] = [];
      const { connection } = observe(async () => {
        attempts.push(performance.now());
        throw new Error("Nobody is there");
      });
      connection.start();
      await vi.advanceTimersByTimeAsync(40_000);
      connection.close();
      return attempts.slice(1, count + 1).map((at, index) => Math.round(at - attempts[index]!));
    };
    expect(await pausesFor(1, 9)).toEqual([100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000, 5_000]);
    expect(await pausesFor(0.5, 8)).toEqual([50, 100, 200, 400, 800, 1_600, 2_500, 2_500]);
    // There is a pause, whatever number is drawn.
    expect(await pausesFor(0, 5)).toEqual([50, 50, 50, 50, 50]);
  });

  it("tries more often, and waits less, if another server takes over", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
    vi.spyOn(Math, "random").mockReturnValue(1);
    const attempts: number[] = [];
    const { connection, downs } = observe(() => {
      attempts.push(performance.now());
      if (attempts.length > 6) return new Promise(() => {});
      throw new Error("No master");
    }, true);
    connection.start();
    await vi.advanceTimersByTimeAsync(100 + 200 + 400 + 800 + 1_000 + 1_000);
    const pauses = attempts.slice(1).map((at, index) => Math.round(at - attempts[index]!));
    expect(pauses).toEqual([100, 200, 400, 800, 1_000, 1_000]);
    await vi.advanceTimersByTimeAsync(2_000);
    expect(downs.at(-1)).toEqual(new Error("Redis did not answer within 2000 ms"));
  });

  it("does not offer a retired client to callers, but may still receive its answers", async () => {
    const listener = await Listener.start();
    const { connection, ups, downs } = connectTo(listener);
    const before = await used(connection);
    const answer = before.sendCommand(["ECHO", "sent before"]);
    connection.retire(new Error("MOVED"));
    const next = used(connection);
    expect(await answer).toBe("sent before");
    expect(downs).toEqual([]);
    connection.fail(new Error("MOVED"));
    expect(await next).not.toBe(before);
    expect(ups.length).toBe(2);
  });

  it("returns to short pauses once it has worked, not as soon as it is connected", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    vi.spyOn(Math, "random").mockReturnValue(1);
    const listener = await Listener.start();
    let failures = 4;
    const { connection, ups, downs } = observe(async () => {
      if (failures-- > 0) throw new Error("Nobody is there");
      return parseUrl(listener.url);
    });
    const until = async (isTrue: () => boolean): Promise<void> => {
      while (!isTrue()) await new Promise(setImmediate);
    };
    connection.start();
    await vi.advanceTimersByTimeAsync(100 + 200 + 400 + 800);
    await until(() => ups.length === 1);
    listener.cut();
    await until(() => downs.length === 5);
    // A Redis that accepts connections and then fails must not be asked twenty times a second by every node.
    await vi.advanceTimersByTimeAsync(1_599);
    expect(listener.sockets.length).toBe(1);
    await vi.advanceTimersByTimeAsync(1);
    await until(() => ups.length === 2);
    connection.succeed();
    listener.cut();
    await until(() => downs.length === 6);
    await vi.advanceTimersByTimeAsync(100);
    await until(() => ups.length === 3);
  });

  it("lets callers wait for up to a second, and later fails them at once", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
    const reason = new Error("Nobody is there");
    const { connection } = observe(async () => {
      throw reason;
    });
    const told: string[] = [];
    const ask = (name: string, isPatient?: boolean): void =>
      connection.use(
        () => told.push(`${name} served`),
        (error) => told.push(`${name} failed: ${(error as Error).message}`),
        isPatient,
      );
    ask("first");
    ask("patient", true);
    await vi.advanceTimersByTimeAsync(600);
    // The second is counted from the outage, not from each call.
    ask("later");
    await vi.advanceTimersByTimeAsync(399);
    expect(told).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);
    expect(told).toEqual(["first failed: Nobody is there", "later failed: Nobody is there"]);
    ask("last");
    expect(told.at(-1)).toBe("last failed: Nobody is there");
    await vi.advanceTimersByTimeAsync(60_000);
    expect(told.length).toBe(3);
    connection.close();
    expect(told.at(-1)).toBe("patient failed: The connection is closed");
  });

  it("serves a patient caller however long it takes", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
    const listener = await Listener.start();
    let isThere = false;
    const { connection, downs } = observe(async () => {
      if (!isThere) throw new Error("Nobody is there");
      return parseUrl(listener.url);
    });
    const served: Client[] = [];
    connection.use(
      (client) => void served.push(client),
      () => {},
      true,
    );
    await vi.advanceTimersByTimeAsync(60_000);
    expect(downs.length).toBeGreaterThan(10);
    expect(served).toEqual([]);
    isThere = true;
    await vi.advanceTimersByTimeAsync(5_000);
    while (served.length === 0) await new Promise(setImmediate);
    expect(await served[0]?.sendCommand(["ECHO", "there"])).toBe("there");
  });

  it("reports the reason if the connection is refused", async () => {
    const listener = await Listener.start();
    await listener.close();
    const { connection, ups, downs } = connectTo(listener);
    await expect(used(connection)).rejects.toMatchObject({ code: "ECONNREFUSED" });
    expect(ups).toEqual([]);
    expect(downs.length).toBeGreaterThan(1);
    // The second has passed: new callers do not wait for another one.
    await delay(20);
    const errors: unknown[] = [];
    connection.use(
      () => {},
      (error) => errors.push(error),
    );
    expect(errors).toMatchObject([{ code: "ECONNREFUSED" }]);
  });

  describe("that is closed", () => {
    it("is cut, stays closed and fails all callers", async () => {
      const listener = await Listener.start();
      const { connection, downs } = connectTo(listener);
      await used(connection);
      connection.close();
      connection.close();
      connection.start();
      await settled("the end", () => listener.openCount === 0);
      await expect(used(connection)).rejects.toThrow("The connection is closed");
      await expect(used(connection, true)).rejects.toThrow("The connection is closed");
      expect(listener.sockets.length).toBe(1);
      // No loss was reported.
      expect(downs).toEqual([]);
    });

    it("before it was connected fails all waiting callers, each once", async () => {
      const listener = await Listener.start();
      listener.reply = () => undefined;
      const { connection, ups } = connectTo(listener);
      const failures: string[] = [];
      for (const isPatient of [true, false]) {
        connection.use(
          () => failures.push("served"),
          (error) => failures.push((error as Error).message),
          isPatient,
        );
      }
      await settled("the attempt", () => listener.commands.length > 0);
      connection.close();
      expect(failures).toEqual(["The connection is closed", "The connection is closed"]);
      await settled("the end", () => listener.openCount === 0);
      expect(ups).toEqual([]);
    });

    it("during the lookup of its server opens no connection", async () => {
      const listener = await Listener.start();
      let give: (options: ConnectionOptions) => void = () => {};
      let signal: AbortSignal | undefined;
      const found = new Promise<ConnectionOptions>((resolve) => (give = resolve));
      const { connection, ups } = observe((given) => {
        signal = given;
        return found;
      });
      connection.start();
      connection.close();
      await settled("the lookup to be given up", () => signal?.aborted === true);
      give(parseUrl(listener.url));
      await delay(20);
      expect(listener.sockets).toEqual([]);
      expect(ups).toEqual([]);
    });

    it("while its socket is being opened leaves no connection behind", async () => {
      const listener = await Listener.start();
      const { connection, ups } = connectTo(listener);
      connection.start();
      // The client exists and has started to connect.
      for (let turn = 0; turn < 10; turn++) await Promise.resolve();
      connection.close();
      await settled("the attempt", () => listener.sockets.length === 1);
      await settled("the end", () => listener.openCount === 0);
      expect(ups).toEqual([]);
    });

    it("during a pause makes no more attempts", async () => {
      vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
      let attempts = 0;
      const { connection } = observe(async () => {
        attempts += 1;
        throw new Error("Nobody is there");
      });
      connection.start();
      await vi.advanceTimersByTimeAsync(1_000);
      const before = attempts;
      expect(before).toBeGreaterThan(2);
      connection.close();
      await vi.advanceTimersByTimeAsync(60_000);
      expect(attempts).toBe(before);
      expect(vi.getTimerCount()).toBe(0);
    });
  });
});
