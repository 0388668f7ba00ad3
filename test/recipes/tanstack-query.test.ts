/** The recipe for TanStack Query, with its own cache and a server whose answers take long. */
import { once } from "node:events";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { QueryClient, QueryObserver } from "@tanstack/react-query";
import { createHub } from "@tidewire/core";
import { expect, onTestFinished, test } from "vitest";
import { followTodos } from "../../examples/dist/tanstack-query/todos.js";

type Channels = { todos: { changed: { id: string; text: string }; removed: { id: string } } };

const newHub = () => createHub<Channels>({ reconnectionTimeMs: 100 });

class Server {
  readonly url: string;
  /** The rows in the database. */
  readonly rows = new Map<string, string>();
  /** How long a stream takes to open. */
  openMs = 0;
  /** How long an answer takes. */
  answerMs = 150;
  /** Whether the answer is an error. */
  isDown = false;
  fetches = 0;
  aborted = 0;
  #hub = newHub();

  static async start(): Promise<Server> {
    const server = http.createServer();
    await once(server.listen(0, "127.0.0.1"), "listening");
    return new Server(server);
  }

  constructor(server: http.Server) {
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/todos`;
    server.on("request", (request, response) => {
      if (request.url === "/todos") void this.#answer(response);
      else void this.#follow(request, response);
    });
    onTestFinished(async () => {
      await this.#hub.close();
      server.close().closeAllConnections();
    });
  }

  async #follow(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    await delay(this.openMs);
    await this.#hub.createSession({ request, response }).subscribe("todos");
  }

  /** Reads the rows at once, and sends them late. */
  async #answer(response: http.ServerResponse): Promise<void> {
    this.fetches += 1;
    const body = JSON.stringify(this.todos);
    await delay(this.answerMs);
    if (response.destroyed) this.aborted += 1;
    if (this.isDown) response.statusCode = 500;
    response.setHeader("Content-Type", "application/json").end(body);
  }

  get todos(): { id: string; text: string }[] {
    return [...this.rows].map(([id, text]) => ({ id, text }));
  }

  async change(id: string, text: string): Promise<void> {
    this.rows.set(id, text);
    await this.#hub.publish("todos", { event: "changed", data: { id, text } });
  }

  async remove(id: string): Promise<void> {
    this.rows.delete(id);
    await this.#hub.publish("todos", { event: "removed", data: { id } });
  }

  /** Begins with a new log, after changes that no client has heard of. */
  async restart(change: () => void): Promise<void> {
    const before = this.#hub;
    this.#hub = newHub();
    change();
    await before.close();
  }
}

async function open(url: string) {
  const queryClient = new QueryClient({ defaultOptions: { queries: { retry: false } } });
  queryClient.mount();
  const { stream, options } = followTodos(queryClient, url);
  const observer = new QueryObserver(queryClient, options);
  onTestFinished(() => {
    stream.close();
    queryClient.clear();
    queryClient.unmount();
  });
  const rows = (): unknown =>
    Object.fromEntries(observer.getCurrentResult().data?.map(({ id, text }) => [id, text]) ?? []);
  return { queryClient, observer, stream, rows, options };
}

/** Subscribes, and waits until the first fetch has reached the server. */
async function show(server: Server, { observer }: Awaited<ReturnType<typeof open>>) {
  const hide = observer.subscribe(() => {});
  onTestFinished(hide);
  await expect.poll(() => server.fetches).toBe(1);
  return hide;
}

test("changes during the first fetch arrive, in order", async () => {
  const server = await Server.start();
  server.rows.set("tar", "Buy tar").set("rope", "Buy rope");
  const page = await open(server.url);
  await show(server, page);
  await server.change("tar", "Sell tar");
  await server.remove("rope");
  await server.change("oak", "one");
  await server.change("oak", "two");
  await expect.poll(() => page.observer.getCurrentResult().isSuccess).toBe(true);
  expect(page.rows()).toEqual({ tar: "Sell tar", oak: "two" });
  await server.remove("tar");
  await expect.poll(page.rows).toEqual({ oak: "two" });
  expect(server.fetches).toBe(1);
});

test("a change before the stream is open arrives", async () => {
  const server = await Server.start();
  server.rows.set("tar", "Buy tar");
  server.openMs = 400;
  const page = await open(server.url);
  onTestFinished(page.observer.subscribe(() => {}));
  await delay(200);
  await server.change("tar", "Sell tar");
  await expect.poll(page.rows).toEqual({ tar: "Sell tar" });
  expect(server.fetches).toBe(1);
});

test("a hundred events a second need one fetch, and another only when it is asked for", async () => {
  const server = await Server.start();
  const page = await open(server.url);
  await show(server, page);
  for (let n = 0; n < 200; n++) {
    await server.change(`row ${n % 40}`, `change ${n}`);
    if (n % 7 === 0) await server.remove(`row ${(n * 3) % 40}`);
    if (n === 100) void page.queryClient.invalidateQueries({ queryKey: ["todos"] });
    await delay(10);
  }
  await expect.poll(page.rows).toEqual(Object.fromEntries(server.rows));
  expect(page.observer.getCurrentResult().fetchStatus).toBe("idle");
  expect(server.fetches).toBe(2);
  expect(server.aborted).toBe(0);
});

test("a reset fetches again, and cancels a fetch under way", async () => {
  const server = await Server.start();
  server.rows.set("tar", "Buy tar");
  const page = await open(server.url);
  await show(server, page);
  await expect.poll(page.rows).toEqual({ tar: "Buy tar" });
  await server.restart(() => server.rows.set("tar", "Sell tar"));
  await expect.poll(page.rows, { timeout: 10_000 }).toEqual({ tar: "Sell tar" });
  expect(server.fetches).toBe(2);
  server.answerMs = 2_000;
  void page.queryClient.invalidateQueries({ queryKey: ["todos"] });
  await expect.poll(() => server.fetches).toBe(3);
  await server.restart(() => server.rows.set("tar", "Keep tar"));
  await expect.poll(page.rows, { timeout: 10_000 }).toEqual({ tar: "Keep tar" });
  expect(server.fetches).toBe(4);
  expect(server.aborted).toBe(1);
});

test("a reset during the first fetch fetches again", async () => {
  const server = await Server.start();
  server.rows.set("tar", "Buy tar");
  server.answerMs = 1_500;
  const page = await open(server.url);
  await show(server, page);
  await server.restart(() => server.rows.set("tar", "Sell tar"));
  await expect
    .poll(() => page.observer.getCurrentResult().isSuccess, { timeout: 10_000 })
    .toBe(true);
  expect(page.rows()).toEqual({ tar: "Sell tar" });
  expect(server.fetches).toBe(2);
});

test("a reset while no component shows the query fetches again, whatever events follow", async () => {
  const server = await Server.start();
  server.rows.set("tar", "Buy tar");
  const page = await open(server.url);
  const hide = await show(server, page);
  await expect.poll(page.rows).toEqual({ tar: "Buy tar" });
  hide();
  await server.restart(() => server.rows.set("tar", "Sell tar"));
  await expect.poll(() => server.fetches, { timeout: 10_000 }).toBe(2);
  await server.change("oak", "Fell oak");
  const cached = () => page.queryClient.getQueryData(page.options.queryKey);
  await expect.poll(cached).toEqual(server.todos);
});

test("events do not hide that the fetch after a reset has failed", async () => {
  const server = await Server.start();
  server.rows.set("tar", "Buy tar");
  const page = await open(server.url);
  await show(server, page);
  await expect.poll(page.rows).toEqual({ tar: "Buy tar" });
  server.isDown = true;
  await server.restart(() => server.rows.set("tar", "Sell tar"));
  await expect.poll(() => page.observer.getCurrentResult().isError, { timeout: 10_000 }).toBe(true);
  const arrived = new Promise((resolve) => page.stream.on("changed", resolve));
  await server.change("oak", "Fell oak");
  await arrived;
  expect(page.observer.getCurrentResult()).toMatchObject({ isError: true, isStale: true });
  server.isDown = false;
  await page.observer.refetch();
  expect(page.rows()).toEqual({ tar: "Sell tar", oak: "Fell oak" });
});

test("a query fails if its stream is closed", async () => {
  const server = await Server.start();
  const page = await open(server.url);
  page.stream.close();
  const fetched = page.queryClient.query(page.options);
  await expect(fetched).rejects.toThrow("The stream is closed");
  expect(server.fetches).toBe(0);
});
