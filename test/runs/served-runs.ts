import type { HubOptions } from "@tidewire/core";
import type { FollowOptions, Runs } from "@tidewire/runs";
import { createParser } from "eventsource-parser";
import type { EventSourceMessage } from "eventsource-parser";
import { request } from "../client.js";
import type { RequestOptions, StreamClient } from "../client.js";
import type { Binding, Served } from "../contracts/bindings.js";

/** A server whose every path follows the run of that name. */
export interface ServedRuns {
  readonly served: Served;
  /** Results and errors of each `follow`, in the order in which they settled. */
  readonly results: unknown[];
  /** Background errors of the hub. */
  readonly faults: unknown[];
  /** Follows the run of a key. */
  follow(key: string, lastEventId?: string, options?: RequestOptions): Promise<StreamClient>;
  close(): Promise<void>;
}

/** Serves runs under a framework. */
export async function serveRuns(
  binding: Binding,
  runs: Runs,
  options?: FollowOptions,
  hubOptions: HubOptions = {},
): Promise<ServedRuns> {
  const results: unknown[] = [];
  const faults: unknown[] = [];
  const served = await binding.serve(
    async ({ sse, request: { url = "" } }) => {
      const key = decodeURIComponent(url.slice(1));
      try {
        results.push(await runs.follow(key, sse, options));
      } catch (error) {
        results.push(error);
        throw error;
      }
    },
    { reconnectionTimeMs: false, onError: (error) => faults.push(error), ...hubOptions },
  );
  const clients: StreamClient[] = [];
  return {
    served,
    results,
    faults,
    async follow(key, lastEventId = "", { headers, ...rest } = {}) {
      const client = await request(served, `/${encodeURIComponent(key)}`, {
        ...rest,
        headers: {
          accept: "text/event-stream",
          ...(lastEventId === "" ? {} : { "last-event-id": lastEventId }),
          ...headers,
        },
      });
      clients.push(client);
      return client;
    },
    async close() {
      for (const client of clients) client.cut();
      await served.close();
    },
  };
}

/** Parses the text of a stream as clients do. */
export function eventsOf({ text }: { readonly text: string }): EventSourceMessage[] {
  const events: EventSourceMessage[] = [];
  const parser = createParser({ onEvent: (event) => void events.push(event) });
  parser.feed(text);
  return events;
}

/** The data of a stream's events that carry a position. */
export function dataOf(client: { readonly text: string }): string[] {
  return eventsOf(client)
    .filter(({ id }) => id !== undefined && id !== "~end")
    .map(({ data }) => data);
}

/** The last event ID that a client with this text would report. */
export function lastIdOf(client: { readonly text: string }): string {
  return eventsOf(client).findLast(({ id }) => id !== undefined)?.id ?? "";
}
