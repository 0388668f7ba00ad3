import type { Session, SseMessage } from "@tidewire/core";
import { channelOf } from "./channels.js";
import type { ServerAddress } from "./demo-server.js";

/** What a page says of itself when it opens its stream. */
export interface Visit {
  /** What the page calls itself, so that a button of it finds its stream. */
  readonly client: string;
  /** Its user's name, for the notifications. */
  readonly user: string;
  /** Its cookie, `undefined` if the browser sent none. */
  readonly visitor: string | undefined;
}

/** How long a client that asks to be cut off stays away, in milliseconds. */
const AWAY_MS = 10_000;

/** The open streams of both servers, by the page that they are for. */
export class Clients {
  readonly #sessions = new Map<string, Session>();
  readonly #snapshot: () => Iterable<SseMessage>;

  /** @param snapshot - The state that the events of the channels change. */
  constructor(snapshot: () => Iterable<SseMessage>) {
    this.#snapshot = snapshot;
  }

  /** Greets a client and subscribes it to everything that the page shows. */
  join(session: Session, visit: Visit, server: ServerAddress, other: ServerAddress): void {
    const { client, user, visitor } = visit;
    const { lastEventId } = session;
    const now = new Date().toISOString();
    void session.send({ event: "hello", data: { server, other, visitor, lastEventId, now } });

    const snapshot = this.#snapshot;
    const channels = ["clock", "weather", "stats", channelOf(user)];
    if (lastEventId === "") {
      void session.subscribe(channels, { snapshot });
      // A call of its own: its five would otherwise be the last five of all channels.
      void session.subscribe("news", { latest: 5 });
    } else {
      // The first call decides what is replayed, so it names every channel.
      void session.subscribe([...channels, "news"], { snapshot });
    }

    this.#sessions.set(client, session);
    session.onClose(() => {
      // A client that was quick to come back has a new session by now.
      if (this.#sessions.get(client) === session) this.#sessions.delete(client);
    });
  }

  /** Ends a client's stream; it will come back. */
  cut(client: string): void {
    this.#sessions.get(client)?.close();
  }

  /** Ends a client's stream; it will come back after ten seconds. */
  sendAway(client: string): void {
    const session = this.#sessions.get(client);
    void session?.send({ event: "away", retry: AWAY_MS, data: { ms: AWAY_MS } });
    session?.close();
  }

  /** Ends a client's stream for good. */
  finish(client: string): void {
    void this.#sessions.get(client)?.complete();
  }
}
