/** The sessions of one hub: open streams, whether another may open, and requests that wait for an answer. */

import type { ResolvedOptions } from "../options/hub.js";
import { Heartbeat } from "../outlet/heartbeat.js";
import { OutletCounts } from "../outlet/outlet.js";
import type { Outlet } from "../outlet/outlet.js";
import type { EventStream } from "../session/event-stream.js";
import type { Obstacle } from "../session/reception.js";

/** All sessions that have not been fully answered. */
export class Sessions {
  /** Drives sessions from the start of their stream to the end of the response, including closed ones. */
  readonly heartbeat: Heartbeat<Outlet> = new Heartbeat();
  readonly counts: OutletCounts = new OutletCounts();
  /** Sessions whose stream has not started: waiting for a decision, or for their turn on a connection. */
  readonly waiting: Set<EventStream> = new Set();
  readonly #maxSessions: ResolvedOptions["maxSessions"];
  /** Servers that are closing while the hub stays open. */
  readonly #closedServers: WeakSet<object> = new WeakSet();
  #openCount = 0;
  #isClosing = false;

  constructor({ maxSessions }: Pick<ResolvedOptions, "maxSessions">) {
    this.#maxSessions = maxSessions;
  }

  /** Streams that accept messages. */
  get openCount(): number {
    return this.#openCount;
  }

  /**
   * @param server - The server that the request came through, if known.
   * @returns The reason why another stream may not open; `undefined` if it may.
   */
  obstacleFor(server: object | undefined): Obstacle | undefined {
    if (this.#isClosing || (server !== undefined && this.#closedServers.has(server))) {
      return "shutdown";
    }
    return this.#maxSessions !== false && this.#openCount >= this.#maxSessions ? "busy" : undefined;
  }

  /** Whether the hub is closed or closing. */
  get isClosing(): boolean {
    return this.#isClosing;
  }

  /** Turns away new streams from now on. */
  close(): void {
    this.#isClosing = true;
  }

  /** Turns away new streams of one server from now on. */
  closeServer(server: object): void {
    this.#closedServers.add(server);
  }

  /** Sessions that wait for CORS or for their head to be sent. Those queued behind other responses do not count yet. */
  get connectingCount(): number {
    let count = this.#openCount - this.counts.open;
    for (const { state, outlet } of this.waiting) {
      if (state === "connecting" && !outlet.isQueued) count += 1;
    }
    return count;
  }

  /** A stream starts. */
  started(session: EventStream): void {
    this.waiting.delete(session);
    this.#openCount += 1;
  }

  /** @returns Whether the session had a stream; it now accepts no more messages. */
  left(session: EventStream): boolean {
    this.waiting.delete(session);
    const wasOpen = session.outlet.place !== undefined;
    if (wasOpen) this.#openCount -= 1;
    return wasOpen;
  }

  /** Iterates over sessions whose stream has started. */
  *[Symbol.iterator](): Iterator<EventStream> {
    // Every outlet of this heartbeat belongs to a session of this hub.
    for (const { owner } of this.heartbeat) yield owner as EventStream;
  }
}
