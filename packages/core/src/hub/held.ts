/** Clients that are turned away: each is held for a while without a session, and then cut. */

import type { ErrorStage, ResolvedOptions } from "../options/hub.js";
import { draw } from "../options/jitter.js";
import { Heartbeat, MAX_SWEEPS, SWEEP_MS } from "../outlet/heartbeat.js";
import type { Beating } from "../outlet/heartbeat.js";
import type { Outlet, OutletFault, OutletFaultDetails, OutletOwner } from "../outlet/outlet.js";
import { encodeRetryFrame } from "../wire/frame.js";

/** How long a client that is not held may take its end, in milliseconds. */
const LEAVE_MS = 5_000;
/** How long one that comes after the end may take its head. */
const LATE_MS = 500;

/** Used where the hub leaves the reconnection time to the client. */
const RECONNECTION_MS = { min: 1_000, max: 3_000 };

/** Options of the hub that say how clients are held. */
type HeldOptions = Pick<ResolvedOptions, "maxHeld" | "reconnectionTimeMs">;

/**
 * The clients of a hub that are turned away and have yet to leave.
 *
 * A connection that breaks in the middle of a stream is the one thing that every client takes for "come back". So a client
 * gets the head of a stream, and its connection is cut after a while: it comes back with the reconnection time that it
 * has, and not all at once. One that finds no room here gets a reconnection time and an end in order.
 */
export class Held {
  /** Drives all of them. */
  readonly heartbeat: Heartbeat<TurnedAway> = new Heartbeat();
  readonly #options: HeldOptions;
  readonly #report: (error: unknown, stage: ErrorStage) => void;
  /** How many are held until their time: the others are about to leave. */
  #size = 0;
  #phase: "open" | "closing" | "over" = "open";
  /** Servers for whose clients it is over already. */
  readonly #closedServers: WeakSet<object> = new WeakSet();

  /**
   * @param options - Those of the hub.
   * @param report - Receives what a write has thrown.
   */
  constructor(options: HeldOptions, report: (error: unknown, stage: ErrorStage) => void) {
    this.#options = options;
    this.#report = report;
  }

  /** Clients that are held. */
  get size(): number {
    return this.#size;
  }

  /** Whether those that are held stay until {@link Held.end}, whatever their time. */
  get isClosing(): boolean {
    return this.#phase === "closing";
  }

  /**
   * Takes a client that is turned away, whose head has yet to go out. Its session has closed already.
   *
   * @param outlet - Its headers are set.
   * @param waitMs - After what time it should come back.
   */
  take(outlet: Outlet, waitMs: number): void {
    const { server } = outlet;
    const isOver = server !== undefined && this.#closedServers.has(server);
    if (isOver || this.#phase === "over") {
      outlet.ending = "cut";
      outlet.dropHeld();
    } else if (this.#size < this.#options.maxHeld) {
      this.#size += 1;
      outlet.ending = "hold";
      outlet.dropHeld();
    } else {
      outlet.ending = "end";
      outlet.dropHeld(encodeRetryFrame(this.isClosing ? this.#drawReconnection() : waitMs));
    }
    const timeMs = { hold: waitMs, end: LEAVE_MS, cut: LATE_MS }[outlet.ending];
    this.heartbeat.add(new TurnedAway(outlet, this, timeMs));
    outlet.start(200);
  }

  /** The hub is closing: from now on clients are held until {@link Held.end}. */
  close(): void {
    this.#phase = "closing";
  }

  /**
   * Cuts all of them as soon as they have their opening bytes, and from now on each that comes.
   *
   * @param server - Only those of this server; absent: all.
   */
  end(server?: object): void {
    if (server === undefined) this.#phase = "over";
    else this.#closedServers.add(server);
    for (const { outlet } of this.heartbeat) {
      if (outlet.ending !== "hold" || (server !== undefined && outlet.server !== server)) continue;
      this.#size -= 1;
      outlet.ending = "cut";
      if (outlet.isHeadSent) outlet.end();
    }
  }

  /** @returns Whether clients of a server are left. */
  hasOf(server: object): boolean {
    for (const { outlet } of this.heartbeat) if (outlet.server === server) return true;
    return false;
  }

  /**
   * Cuts those that are left, whatever they have.
   *
   * @param server - Only those of this server; absent: all.
   */
  destroy(server?: object): void {
    for (const client of this.heartbeat) {
      if (server === undefined || client.outlet.server === server) this.cut(client);
    }
  }

  /** For {@link TurnedAway}: its time has come. */
  cut(client: TurnedAway): void {
    this.forget(client);
    client.outlet.destroy();
  }

  /** For {@link TurnedAway}: a write has thrown. */
  report(error: unknown): void {
    this.#report(error, "write");
  }

  /** For {@link TurnedAway}: it has left, or somebody else answers it. */
  forget(client: TurnedAway): void {
    if (client.place === undefined) return;
    this.heartbeat.delete(client);
    if (client.outlet.ending === "hold") this.#size -= 1;
  }

  /** The next process has room sooner than this one. */
  #drawReconnection(): number {
    const { reconnectionTimeMs } = this.#options;
    return draw(reconnectionTimeMs === false ? RECONNECTION_MS : reconnectionTimeMs);
  }
}

/** One client that is turned away: all that is kept of it beside its outlet. */
class TurnedAway implements OutletOwner, Beating {
  place: number | undefined = undefined;
  watched: number | undefined = undefined;
  readonly outlet: Outlet;
  readonly #held: Held;
  readonly #cutAt: number;

  constructor(outlet: Outlet, held: Held, waitMs: number) {
    this.outlet = outlet;
    this.#held = held;
    this.#cutAt = performance.now() + waitMs;
    outlet.owner = this;
  }

  beat(now: number): number {
    const left = this.#cutAt - now;
    if (left > 0) return Math.min(MAX_SWEEPS, Math.ceil(left / SWEEP_MS));
    if (this.#held.isClosing && this.outlet.ending === "hold") return MAX_SWEEPS;
    this.#held.cut(this);
    return 1;
  }

  settle(): boolean {
    return true;
  }

  outletReady(): void {}

  outletFailed(_fault: OutletFault, details: OutletFaultDetails = {}): void {
    if ("error" in details) this.#held.report(details.error);
    // The framework answers instead, for example because the route has thrown while a hook held the head back.
    if (!this.outlet.isHeadSent) this.#held.forget(this);
  }

  outletClosed(): void {
    this.#held.forget(this);
  }
}
