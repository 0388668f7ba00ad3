/** Holds clients that are turned away: each is kept open for a while without a session, then cut. */

import type { ErrorStage, ResolvedOptions } from "../options/hub.js";
import { draw } from "../options/jitter.js";
import { Heartbeat, MAX_SWEEPS, SWEEP_MS } from "../outlet/heartbeat.js";
import type { Beating } from "../outlet/heartbeat.js";
import type { Outlet, OutletFault, OutletFaultDetails, OutletOwner } from "../outlet/outlet.js";
import { encodeRetryFrame } from "../wire/frame.js";

/** How long a client that is not held may take to read its end, in milliseconds. */
const LEAVE_MS = 5_000;
/** How long a client that arrives after the end may take to read its head, in milliseconds. */
const LATE_MS = 500;

/** Used where the hub leaves the reconnection time to the client. */
const RECONNECTION_MS = { min: 1_000, max: 3_000 };

/** Hub options that control how clients are held. */
type HeldOptions = Pick<ResolvedOptions, "maxHeld" | "reconnectionTimeMs">;

/**
 * The turned-away clients of a hub that have not left yet.
 *
 * Every client reconnects when a connection breaks in the middle of a stream. Therefore each turned-away client gets
 * the head of a stream, and its connection is cut after a while. It then reconnects after its current reconnection
 * time, and not at the same moment as the others. If there is no room to hold it, it gets a reconnection time and an
 * orderly end.
 */
export class Held {
  /** Drives all turned-away clients. */
  readonly heartbeat: Heartbeat<TurnedAway> = new Heartbeat();
  readonly #options: HeldOptions;
  readonly #report: (error: unknown, stage: ErrorStage) => void;
  /** Clients held for their full time. The others are about to leave. */
  #size = 0;
  #phase: "open" | "closing" | "over" = "open";
  /** Closed servers, whose clients are no longer held. */
  readonly #closedServers: WeakSet<object> = new WeakSet();

  /**
   * @param options - Options of the hub.
   * @param report - Receives errors that a write throws.
   */
  constructor(options: HeldOptions, report: (error: unknown, stage: ErrorStage) => void) {
    this.#options = options;
    this.#report = report;
  }

  /** Number of held clients. */
  get size(): number {
    return this.#size;
  }

  /** Whether held clients stay until {@link Held.end}, whatever their time. */
  get isClosing(): boolean {
    return this.#phase === "closing";
  }

  /**
   * Takes over a turned-away client whose head has not been sent. Its session has closed already.
   *
   * @param outlet - Outlet with its headers set.
   * @param waitMs - Time after which the client should reconnect.
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

  /** The hub is closing: from now on, clients are held until {@link Held.end}. */
  close(): void {
    this.#phase = "closing";
  }

  /**
   * Cuts all clients as soon as they have their opening bytes, and later ones too.
   *
   * @param server - Only clients of this server; absent: all.
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

  /** @returns Whether clients of a server remain. */
  hasOf(server: object): boolean {
    for (const { outlet } of this.heartbeat) if (outlet.server === server) return true;
    return false;
  }

  /**
   * Cuts the remaining clients at once.
   *
   * @param server - Only clients of this server; absent: all.
   */
  destroy(server?: object): void {
    for (const client of this.heartbeat) {
      if (server === undefined || client.outlet.server === server) this.cut(client);
    }
  }

  /** For {@link TurnedAway}: its holding time is over. */
  cut(client: TurnedAway): void {
    this.forget(client);
    client.outlet.destroy();
  }

  /** For {@link TurnedAway}: a write threw. */
  report(error: unknown): void {
    this.#report(error, "write");
  }

  /** For {@link TurnedAway}: it has left or has been answered elsewhere. */
  forget(client: TurnedAway): void {
    if (client.place === undefined) return;
    this.heartbeat.delete(client);
    if (client.outlet.ending === "hold") this.#size -= 1;
  }

  /** The next process will have room sooner than this one. */
  #drawReconnection(): number {
    const { reconnectionTimeMs } = this.#options;
    return draw(reconnectionTimeMs === false ? RECONNECTION_MS : reconnectionTimeMs);
  }
}

/** One turned-away client: everything kept of it besides its outlet. */
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
    // The framework answers instead, for example because the route threw while a hook held the head back.
    if (!this.outlet.isHeadSent) this.#held.forget(this);
  }

  outletClosed(): void {
    this.#held.forget(this);
  }
}
