/** One timer for all streams of a hub: drives heartbeats, lifetimes and stall detection. */

import { runOutside } from "./async-context.js";

/** A member that a {@link Heartbeat} drives. */
export interface Beating {
  /** Owned by the heartbeat: place in the ring; `undefined` while the member is not driven. */
  place: number | undefined;
  /** Owned by the heartbeat: place in the list of watched members; `undefined` while the member is not watched. */
  watched: number | undefined;
  /**
   * Called when the member is due.
   *
   * @param now - Milliseconds of a monotonic clock.
   * @returns Number of sweeps until the next call, from 1 to {@link MAX_SWEEPS}.
   */
  beat(now: number): number;
  /**
   * Called in each sweep while the member is watched.
   *
   * @returns Whether watching can stop.
   */
  settle(): boolean;
}

/** Time between two sweeps in milliseconds: the resolution of heartbeats, lifetimes and stall detection. */
export const SWEEP_MS = 450;
/** Longest sleep of a member, in sweeps. */
export const MAX_SWEEPS = 8;

/** One more than the longest sleep, so no member is put back where the sweep has just been. */
const PLACES = MAX_SWEEPS + 1;
/** A sweep yields to other work after this many milliseconds. */
const SLICE_MS = 4;
/** Members driven between two checks of the clock, which costs more than an idle member. */
const LOOK_EVERY = 64;

/**
 * One timer for all sessions of a hub.
 *
 * A timer per session would cost memory and a wake-up each. Instead, a hand advances along a ring about twice a second
 * and drives the members at its place; each then moves to the place where it is due next. Ten thousand silent sessions
 * are visited when their heartbeats are due, and rarely in between. Sessions that have written are watched in a plain
 * list: moving each of them along the ring for every event would add noticeably to the cost of an event. The timer
 * never keeps the process alive, and runs only while there are members.
 */
export class Heartbeat<Member extends Beating = Beating> {
  readonly #ring: readonly Set<Member>[] = Array.from({ length: PLACES }, () => new Set());
  /**
   * Each member knows its place here, so that a leaving one is released at once. If it were kept until the next sweep,
   * short-lived streams would reach the old generation, where collecting them costs more.
   */
  readonly #watched: Member[] = [];
  #sweeps = 0;
  #size = 0;
  /** Set exactly while there are members. */
  #timer: NodeJS.Timeout | undefined;
  /** `true` while a sweep waits for its next slice, so that sweeps do not overlap. */
  #isSweeping = false;

  /** Called whenever the last member is deleted. */
  onEmpty: (() => void) | undefined;

  /** Number of members. */
  get size(): number {
    return this.#size;
  }

  /** Number of sweeps begun: a cheap clock with the unit {@link SWEEP_MS}. */
  get sweeps(): number {
    return this.#sweeps;
  }

  /** Iterates over the members. */
  *[Symbol.iterator](): Iterator<Member> {
    for (const members of this.#ring) yield* members;
  }

  /** @param member - Driven from the next sweep on; no effect if it is driven already. */
  add(member: Member): void {
    if (member.place !== undefined) return;
    this.#put(member, this.#sweeps % PLACES);
    this.#size += 1;
    this.#timer ??= runOutside(() => setInterval(() => this.#startSweep(), SWEEP_MS).unref());
  }

  /**
   * Calls `settle` in each sweep until it returns `true`.
   *
   * @param member - A member that is driven; no effect if it is watched already.
   */
  watch(member: Member): void {
    if (member.watched === undefined) member.watched = this.#watched.push(member) - 1;
  }

  /** @param member - Member to remove; ignored if it was not added. */
  delete(member: Member): void {
    if (member.place === undefined || this.#ring[member.place]?.delete(member) !== true) return;
    member.place = undefined;
    this.#unwatch(member);
    this.#size -= 1;
    if (this.#size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.onEmpty?.();
  }

  /** The last member takes the freed place. */
  #unwatch(member: Member): void {
    const index = member.watched;
    if (index === undefined) return;
    member.watched = undefined;
    const last = this.#watched.pop();
    if (last === undefined || last === member) return;
    this.#watched[index] = last;
    last.watched = index;
  }

  #put(member: Member, place: number): void {
    member.place = place;
    this.#ring[place]?.add(member);
  }

  #startSweep(): void {
    if (this.#isSweeping) return;
    const place = this.#sweeps % PLACES;
    this.#sweeps += 1;
    this.#sweep(this.#drive(place, performance.now()));
  }

  #sweep(work: Iterator<void>): void {
    this.#isSweeping = false;
    const start = performance.now();
    let untilLook = LOOK_EVERY;
    while (!work.next().done) {
      if (--untilLook > 0) continue;
      if (performance.now() - start > SLICE_MS) {
        this.#isSweeping = true;
        // Not unref'd: otherwise the loop would sleep until the next timer with the sweep unfinished.
        setImmediate(() => this.#sweep(work));
        return;
      }
      untilLook = LOOK_EVERY;
    }
  }

  /** Yields after each member. */
  *#drive(place: number, now: number): Iterator<void> {
    let index = 0;
    // Only the members present now: later ones have their turn in the next sweep.
    for (let left = this.#watched.length; left > 0; left--) {
      const member = this.#watched[index];
      if (member === undefined) break;
      if (member.settle()) this.#unwatch(member);
      // The member may have been deleted, and another may have taken its place.
      if (this.#watched[index] === member) index += 1;
      yield;
    }
    for (const member of this.#ring[place] ?? []) {
      const sweeps = member.beat(now);
      // Unless the member was deleted meanwhile.
      if (member.place === place) {
        this.#ring[place]?.delete(member);
        this.#put(member, (place + sweeps) % PLACES);
      }
      yield;
    }
  }
}
