/** Pages that are rendered with a position during a storm of changes, and whether a row is missing on one of them. */

import http from "node:http";
import type { AddressInfo } from "node:net";
import { setImmediate as immediate } from "node:timers/promises";
import type { Hub } from "@tidewire/core";
import { EventClient, seeded } from "./event-client.js";

/** The part of a page that is taken first. */
type First = "position" | "state";

/** A page as its client gets it. */
interface Page {
  readonly position: string;
  /** All rows up to this number are on the page. */
  readonly upTo: number;
  /** Numbers of later rows. */
  readonly others: readonly number[];
}

/** Result of a storm. */
export interface Outcome {
  readonly pages: number;
  readonly published: number;
  /** Rows that neither a page nor the events after its position had. */
  readonly missing: string[];
  /** Rows that both had. */
  readonly doubles: number;
  readonly resets: number;
}

/** A table of rows. Writers add a row, and publish it once it is there. */
class Table {
  upTo = 0;
  readonly #others: Set<number> = new Set();

  add(row: number): void {
    this.#others.add(row);
    while (this.#others.delete(this.upTo + 1)) this.upTo += 1;
  }

  get others(): number[] {
    return [...this.#others];
  }
}

const WRITERS = 24;
/** Pages rendered at the same time. */
const VISITORS = 20;
/** Events after which a client has seen enough. */
const EVENTS_PER_PAGE = 30;

/**
 * Renders pages while rows are added, and compares each page and what its client gets afterwards with the log.
 *
 * @param hubs - Pages are rendered by the first, clients are served by the last. They have the same log.
 * @param first - The part that is taken first.
 * @param count - Number of pages. The clients of half of them read in server code.
 */
export async function renderPages(
  hubs: readonly [Hub, ...Hub[]],
  first: First,
  count: number,
  seed: number,
): Promise<Outcome> {
  const random = seeded(seed);
  const [renders] = hubs;
  const serves = hubs.at(-1) ?? renders;
  const table = new Table();
  /** A query or a commit that takes a while. */
  const takeTime = async (): Promise<void> => {
    for (let left = Math.floor(random() * 4); left > 0; left--) await immediate();
  };
  const server = http.createServer((request, response) => {
    if (request.url?.startsWith("/events") === true) {
      void serves.createSession({ request, response }).subscribe("rows");
      return;
    }
    void render().then((page) => response.end(JSON.stringify(page)));
  });
  async function render(): Promise<Page> {
    let position = first === "position" ? await renders.position() : undefined;
    await takeTime();
    const { upTo, others } = table;
    await takeTime();
    position ??= await renders.position();
    return { position, upTo, others };
  }
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  const { port } = server.address() as AddressInfo;

  /** Rows in the order of the log. */
  const order: number[] = [];
  const places: Map<number, number> = new Map();
  const witness = serves.read("rows");
  const watching = (async () => {
    for await (const item of witness) {
      if (item.type === "event") places.set(Number(item.data), order.push(Number(item.data)) - 1);
    }
  })();

  const state = { isOver: false, rows: 0 };
  const write = async (): Promise<void> => {
    while (!state.isOver) {
      const row = ++state.rows;
      await takeTime();
      table.add(row);
      await takeTime();
      await renders.publish("rows", { data: row });
    }
  };
  const writers = Array.from({ length: WRITERS }, write);

  const outcome = { missing: [] as string[], doubles: 0, resets: 0 };
  let left = count;
  const visit = async (): Promise<void> => {
    while (left > 0) {
      const number = left--;
      const answer = await fetch(`http://127.0.0.1:${port}/`);
      const page = (await answer.json()) as Page;
      const follow = number % 2 === 0 ? followStream : followReading;
      const { rows, resets } = await follow(page.position);
      outcome.resets += resets;
      check(number, page, rows);
    }
  };

  function check(number: number, { upTo, others }: Page, rows: readonly number[]): void {
    const onPage = new Set(others);
    const isOnPage = (row: number): boolean => row <= upTo || onPage.has(row);
    const received = new Set(rows);
    const last = places.get(rows.at(-1) as number) as number;
    // Every row that was published up to here must be on the page, or have come since.
    for (const row of order.slice(Math.max(0, last - 5_000), last + 1)) {
      if (!isOnPage(row) && !received.has(row)) outcome.missing.push(`page ${number}: ${row}`);
      if (isOnPage(row) && received.has(row)) outcome.doubles += 1;
    }
  }

  function followStream(position: string): Promise<{ rows: number[]; resets: number }> {
    return new Promise((resolve) => {
      const client = new EventClient(port, `/events?lastEventId=${position}`);
      client.onEvent = () => {
        if (client.events.length !== EVENTS_PER_PAGE) return;
        client.cut("rst");
        const rows = client.events.map(({ data }) => Number(data));
        resolve({ rows, resets: client.resets.length });
      };
      client.connect();
    });
  }

  async function followReading(position: string): Promise<{ rows: number[]; resets: number }> {
    const rows: number[] = [];
    let resets = 0;
    for await (const item of serves.read("rows", { after: position })) {
      if (item.type === "reset") resets += 1;
      else rows.push(Number(item.data));
      if (rows.length === EVENTS_PER_PAGE) break;
    }
    return { rows, resets };
  }

  await Promise.all(Array.from({ length: VISITORS }, visit));
  state.isOver = true;
  await Promise.all(writers);
  await witness.return?.();
  await watching;
  server.closeAllConnections();
  server.close();
  return { pages: count, published: order.length, ...outcome };
}
