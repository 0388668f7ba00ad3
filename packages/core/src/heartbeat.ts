/** What a {@link Heartbeat} drives. */
export interface Beating {
  /**
   * Called twice a second.
   *
   * @param now - Milliseconds of a clock that never goes back.
   */
  beat(now: number): void;
}

/** Time between two sweeps in milliseconds: the resolution of heartbeats, ages and stalls. */
export const SWEEP_MS = 500;

/** A sweep yields to other work after this many milliseconds. */
const SLICE_MS = 4;
/** Members between two looks at the clock, which costs more than a member with nothing to do. */
const LOOK_EVERY = 64;

/**
 * One timer for all sessions of a hub.
 *
 * A timer for each session would cost memory and a wake-up each; this one sweeps over them all twice a
 * second, in slices, and never keeps the process alive. It runs only while there is somebody to drive.
 */
export class Heartbeat<Member extends Beating = Beating> {
  readonly #members: Set<Member> = new Set();
  /** Set exactly while `#members` is not empty. */
  #timer: NodeJS.Timeout | undefined;
  /** `true` while a sweep waits for its next slice: the sweeps do not overtake each other. */
  #isSweeping = false;

  /** Those that are driven. */
  get members(): ReadonlySet<Member> {
    return this.#members;
  }

  /** @param member - Driven from the next sweep on. */
  add(member: Member): void {
    this.#members.add(member);
    this.#timer ??= setInterval(() => this.#startSweep(), SWEEP_MS).unref();
  }

  /** @param member - Not driven any more; one that was not added is ignored. */
  delete(member: Member): void {
    this.#members.delete(member);
    if (this.#members.size > 0 || this.#timer === undefined) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #startSweep(): void {
    if (this.#isSweeping) return;
    // Only so many: who joins during a sweep stands at the end and waits for the next one.
    this.#sweep(this.#members.values(), this.#members.size);
  }

  #sweep(rest: Iterator<Member>, count: number): void {
    this.#isSweeping = false;
    const now = performance.now();
    let untilLook = LOOK_EVERY;
    let left = count;
    for (let next = rest.next(); !next.done && left > 0; next = rest.next()) {
      left -= 1;
      next.value.beat(now);
      if (--untilLook > 0) continue;
      if (performance.now() - now > SLICE_MS) {
        this.#isSweeping = true;
        // Not unref'd: the loop would sleep until the next timer and leave the rest of the sweep to wait for it.
        setImmediate(() => this.#sweep(rest, left));
        return;
      }
      untilLook = LOOK_EVERY;
    }
  }
}
