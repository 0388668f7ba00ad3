/** One timer for all streams of a hub: heartbeats, ages and stalls. */

import { runOutside } from "./async-context.js";

/** What a {@link Heartbeat} drives. */
export interface Beating {
  /** The heartbeat's own: where it stands in the ring; `undefined` while it is not driven. */
  place: number | undefined;
  /** The heartbeat's own: where it stands among those that are watched; `undefined` while it is not. */
  watched: number | undefined;
  /**
   * Called when it is its turn.
   *
   * @param now - Milliseconds of a clock that never goes back.
   * @returns After how many sweeps to call again, from 1 to {@link MAX_SWEEPS}.
   */
  beat(now: number): number;
  /**
   * Called in each sweep while it is watched.
   *
   * @returns Whether it need not be watched any more.
   */
  settle(): boolean;
}

/** Time between two sweeps in milliseconds: the resolution of heartbeats, ages and stalls. */
export const SWEEP_MS = 450;
/** The longest that a member may sleep, in sweeps. */
export const MAX_SWEEPS = 8;

/** One more than the longest sleep: so no member is put back where the sweep has just come from. */
const PLACES = MAX_SWEEPS + 1;
/** A sweep yields to other work after this many milliseconds. */
const SLICE_MS = 4;
/** Members between two looks at the clock, which costs more than a member with nothing to do. */
const LOOK_EVERY = 64;

/**
 * One timer for all sessions of a hub.
 *
 * A timer for each session would cost memory and a wake-up each. Here a hand goes round a ring, a place twice a
 * second, and drives those who stand there; each then moves to where it next has something to do. Ten thousand
 * silent sessions are looked at when their heartbeats are due, and hardly in between. Those that have written
 * something are watched beside it, in a plain list: to move each of them in the ring for each event would be a good
 * part of what the event costs. The timer never keeps the process alive, and runs only while there is somebody to
 * drive.
 */
export class Heartbeat<Member extends Beating = Beating> {
  readonly #ring: readonly Set<Member>[] = Array.from({ length: PLACES }, () => new Set());
  /**
   * Each knows its place here, so that one that leaves can be let go at once. Kept until the next sweep, streams that
   * open and end quickly would all have to be collected as old garbage, which costs more than young.
   */
  readonly #watched: Member[] = [];
  #sweeps = 0;
  #size = 0;
  /** Set exactly while there are members. */
  #timer: NodeJS.Timeout | undefined;
  /** `true` while a sweep waits for its next slice: the sweeps do not overtake each other. */
  #isSweeping = false;

  /** Called whenever the last member was deleted. */
  onEmpty: (() => void) | undefined;

  /** Number of those that are driven. */
  get size(): number {
    return this.#size;
  }

  /** Number of sweeps that were begun: a clock whose unit is {@link SWEEP_MS}, for those who cannot afford a better one. */
  get sweeps(): number {
    return this.#sweeps;
  }

  /** Goes over those that are driven. */
  *[Symbol.iterator](): Iterator<Member> {
    for (const members of this.#ring) yield* members;
  }

  /** @param member - Driven from the next sweep on; one that is driven already stays where it is. */
  add(member: Member): void {
    if (member.place !== undefined) return;
    this.#put(member, this.#sweeps % PLACES);
    this.#size += 1;
    this.#timer ??= runOutside(() => setInterval(() => this.#startSweep(), SWEEP_MS).unref());
  }

  /**
   * Has `settle` called in each sweep until it says that this need not be.
   *
   * @param member - One that is driven; one that is watched already stays where it is.
   */
  watch(member: Member): void {
    if (member.watched === undefined) member.watched = this.#watched.push(member) - 1;
  }

  /** @param member - Not driven any more; one that was not added is ignored. */
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

  /** The last one takes its place. */
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
        // Not unref'd: the loop would sleep until the next timer and leave the rest of the sweep to wait for it.
        setImmediate(() => this.#sweep(work));
        return;
      }
      untilLook = LOOK_EVERY;
    }
  }

  /** Yields after each member. */
  *#drive(place: number, now: number): Iterator<void> {
    let index = 0;
    // No more than there are now: those that come meanwhile have their turn in the next sweep.
    for (let left = this.#watched.length; left > 0; left--) {
      const member = this.#watched[index];
      if (member === undefined) break;
      if (member.settle()) this.#unwatch(member);
      // It may have been deleted, and another one stand there.
      if (this.#watched[index] === member) index += 1;
      yield;
    }
    for (const member of this.#ring[place] ?? []) {
      const sweeps = member.beat(now);
      // Unless it was deleted meanwhile.
      if (member.place === place) {
        this.#ring[place]?.delete(member);
        this.#put(member, (place + sweeps) % PLACES);
      }
      yield;
    }
  }
}
