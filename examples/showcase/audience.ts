import type { Session } from "@tidewire/core";
import type { Setting } from "./demo-server.js";

/** The clients of one server that listen to its events, by the id that the page gave itself. */
export class Audience {
  readonly #setting: Setting;
  readonly #sessions = new Map<string, Session>();

  constructor(setting: Setting) {
    this.#setting = setting;
  }

  /**
   * Sends clock and weather to a client until it leaves.
   *
   * @param client - What the page calls itself, to find its stream again.
   * @param visitor - Its cookie, `undefined` if the browser sent none.
   */
  add(session: Session, client: string, visitor: string | undefined): void {
    const { feed, self, other } = this.#setting;
    const { lastEventId } = session;
    void session.send({ event: "hello", data: { server: self, other, visitor, lastEventId } });
    for (const message of feed.snapshot()) void session.send(message);

    const leave = feed.follow((message) => void session.send(message));
    this.#sessions.set(client, session);
    session.onClose(() => {
      leave();
      // A client that was quick to come back has a new session by now.
      if (this.#sessions.get(client) === session) this.#sessions.delete(client);
    });
  }

  /** Ends a client's stream; it will come back. */
  cut(client: string): void {
    this.#sessions.get(client)?.close();
  }

  /** Ends a client's stream for good. */
  finish(client: string): void {
    this.#sessions.get(client)?.complete();
  }
}
