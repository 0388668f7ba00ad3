/** The sessions of one hub: how many streams are open, whether another one may be, and who waits for an answer. */

import type { ResolvedOptions } from "../options/hub.js";
import { Heartbeat } from "../outlet/heartbeat.js";
import type { Outlet } from "../outlet/outlet.js";
import type { EventStream } from "../session/event-stream.js";
import type { Obstacle } from "../session/reception.js";

/** All sessions that have not been answered in full. */
export class Sessions {
  /** Drives those whose stream has started and whose response is not over, closed ones included. */
  readonly heartbeat: Heartbeat<Outlet> = new Heartbeat();
  /** Those that are being asked about, or wait for their turn on a connection: their stream has not started. */
  readonly waiting: Set<EventStream> = new Set();
  readonly #maxSessions: ResolvedOptions["maxSessions"];
  /** Servers that close while the hub goes on. */
  readonly #closedServers: WeakSet<object> = new WeakSet();
  #openCount = 0;
  #isClosing = false;

  constructor({ maxSessions }: Pick<ResolvedOptions, "maxSessions">) {
    this.#maxSessions = maxSessions;
  }

  /** Streams that take messages. */
  get openCount(): number {
    return this.#openCount;
  }

  /**
   * @param server - What the request came in through, if that is known.
   * @returns Why no further stream may be opened; `undefined` if one may.
   */
  obstacleFor(server: object | undefined): Obstacle | undefined {
    if (this.#isClosing || (server !== undefined && this.#closedServers.has(server))) {
      return "shutdown";
    }
    return this.#maxSessions !== false && this.#openCount >= this.#maxSessions ? "busy" : undefined;
  }

  /** Whether the hub is closed, or on the way to it. */
  get isClosing(): boolean {
    return this.#isClosing;
  }

  /** From now on further streams are turned away. */
  close(): void {
    this.#isClosing = true;
  }

  /** From now on further streams of one server are turned away. */
  closeServer(server: object): void {
    this.#closedServers.add(server);
  }

  /** A stream starts. */
  started(session: EventStream): void {
    this.waiting.delete(session);
    this.#openCount += 1;
  }

  /** @returns Whether the session had a stream, which now takes no more messages. */
  left(session: EventStream): boolean {
    this.waiting.delete(session);
    const wasOpen = session.outlet.place !== undefined;
    if (wasOpen) this.#openCount -= 1;
    return wasOpen;
  }

  /** Goes over the sessions whose stream has started. */
  *[Symbol.iterator](): Iterator<EventStream> {
    // Every outlet that this heartbeat drives belongs to a session of this hub.
    for (const { owner } of this.heartbeat) yield owner as EventStream;
  }
}
