import type { Session, SseMessage } from "@tidewire/core";
import { channelOf } from "./channels.js";
import type { ServerAddress } from "./demo-server.js";

/** Identifies a page when it opens its stream. */
export interface Visit {
  /** Name that the page has chosen for itself. Its buttons send it, so that the server finds the stream. */
  readonly client: string;
  /** Name of its user, for the notifications. */
  readonly user: string;
  /** Its cookie, `undefined` if the browser sent none. */
  readonly visitor: string | undefined;
}

/** Reconnection time of a client that asks to be cut off, in milliseconds. */
const AWAY_MS = 10_000;

/** Open streams of both servers, by the name of their page. */
export class Clients {
  readonly #sessions = new Map<string, Session>();
  readonly #refused = new Set<string>();
  readonly #snapshot: () => Iterable<SseMessage>;

  /** @param snapshot - Makes the messages that a new client gets before any change. */
  constructor(snapshot: () => Iterable<SseMessage>) {
    this.#snapshot = snapshot;
  }

  /** Sends a client its first messages and subscribes it to everything that the page shows. */
  join(session: Session, visit: Visit, server: ServerAddress, other: ServerAddress): void {
    const { client, user, visitor } = visit;
    const { lastEventId } = session;
    const now = new Date().toISOString();
    void session.send({ event: "hello", data: { server, other, visitor, lastEventId, now } });

    if (lastEventId === "") {
      const text = `Welcome, ${user}. Only this tab gets this message.`;
      void session.send({ event: "notification", data: { at: now, text, from: "the server" } });
    }

    // All calls of this turn take part in a replay. The call with the snapshot comes first: as a later call it would get
    // its snapshot instead of the replay.
    void session.subscribe(["weather", "stats", channelOf(user)], { snapshot: this.#snapshot });
    // `latest` counts for each channel of a call, so channels with different counts need separate calls.
    void session.subscribe(["news", "~presence:news"], { latest: 5 });
    void session.subscribe("clock", { latest: 60 });

    this.#sessions.set(client, session);
    session.onClose(() => {
      // A client that came back quickly already has a new session.
      if (this.#sessions.get(client) === session) this.#sessions.delete(client);
    });
  }

  /** Ends a client's stream. The client comes back after its usual reconnection time. */
  cut(client: string): void {
    this.#sessions.get(client)?.close();
  }

  /** Ends a client's stream. The client comes back after ten seconds. */
  sendAway(client: string): void {
    const session = this.#sessions.get(client);
    void session?.send({ event: "away", retry: AWAY_MS, data: { ms: AWAY_MS } });
    session?.close();
  }

  /** Ends a client's stream. Its next request gets 502, as from a proxy whose server is restarting. */
  refuse(client: string): void {
    this.#refused.add(client);
    this.cut(client);
  }

  /** Whether a client gets 502 this time instead of a stream. */
  takeRefusal(client: string): boolean {
    return this.#refused.delete(client);
  }

  /** Ends a client's stream for good. */
  finish(client: string): void {
    void this.#sessions.get(client)?.complete();
  }
}
