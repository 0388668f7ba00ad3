/** A place in the log for server code: the counterpart of a stream's subscription, without a client. */

import { isId } from "../wire/encode.js";
import type { DecodedFrame } from "../wire/decode.js";
import type { ResetReason } from "../wire/frame.js";
import { sizeOf } from "../wire/shared-frames.js";
import { SLICE_BYTES } from "./audience.js";
import type { Audience, Member } from "./audience.js";
import type { Place } from "./backfill.js";
import { ChannelSet } from "./channel-set.js";
import { Step } from "./welcome.js";
import type { WindowEntry } from "./window.js";

/** Most bytes taken at once: what a reader holds while its caller is busy with the first event. */
const TAKE_BYTES = 8_192;

/** The result of one call of {@link EventReader.take}. */
export interface Taken {
  /** Set if events may be missing before this place; then there are no events. */
  readonly reset: ResetReason | undefined;
  /** At least one without a reset. In log order. */
  readonly events: readonly DecodedFrame[];
  /** Id of the place up to which the reader has everything of its channels, including these events. */
  readonly id: string;
}

/** Where a reader begins. */
export interface ReaderStart {
  /** Id of the place after which it begins: any text. `undefined`: at the tail. */
  readonly after: string | undefined;
  /** Number of past events per channel before that. Ignored with `after`. */
  readonly latest: number;
}

/**
 * Reads the entries of its channels from the window, in the pace of its caller: a place, not a queue.
 *
 * The set of channels is fixed, so a single cursor suffices. As for a stream, it moves only over entries that were
 * taken or are not due, and over lost ones only together with a reset.
 *
 * A reader without a caller costs nothing: it joins its channels with the first call of {@link take}.
 */
export class EventReader implements Member {
  readonly channels: ChannelSet = new ChannelSet();
  readonly #audience: Audience;
  #cursor: number;
  /** Id to begin after; `undefined` once its place is being looked up. */
  #after: string | undefined;
  #origin: string | undefined;
  /** `latest` events still to be taken. */
  #step: Step | undefined;
  /** A reset still to be taken. */
  #reset: ResetReason | undefined;
  /** The reason why the caller has to wait, besides a lack of new entries. */
  #wait: "none" | "place" | "past" | "turn" = "none";
  #phase: "open" | "ending" | "closed" = "open";
  #hasJoined = false;
  /** Bytes that can be taken before every other reader and client that is behind gets its turn. */
  #leftBytes = SLICE_BYTES;
  /** Resumes the call of `take` under way. */
  #resume: (() => void) | undefined;

  constructor(audience: Audience, channels: readonly string[], { after, latest }: ReaderStart) {
    this.#audience = audience;
    this.#after = after;
    const { tail, tailId } = audience.window;
    this.#cursor = tail;
    this.#origin = after === undefined ? tailId : undefined;
    for (const channel of channels) this.channels.add(channel, undefined);
    if (after === undefined && latest > 0) {
      this.#step = new Step(channels, undefined, { latest, upTo: tail, comesFirst: false });
    }
  }

  /** Id of the tail at which it began. `undefined` with `after`, and with `latest` unless there were no such events. */
  get origin(): string | undefined {
    return this.#step === undefined ? this.#origin : undefined;
  }

  /** Whether a call of `take` waits, so that nothing is on its way to the caller. */
  get isWaiting(): boolean {
    return this.#resume !== undefined;
  }

  /**
   * Id of the place up to which every due entry was taken, as far ahead as possible. `undefined` until the place has
   * been looked up, and before the last of the `latest` events or a reset.
   */
  get position(): string | undefined {
    const { window } = this.#audience;
    const isVague = this.#after !== undefined || this.#step !== undefined || this.#wait === "place";
    if (isVague || this.#reset !== undefined) return undefined;
    if (!window.holdsAfter(this.#cursor, this.channels)) return undefined;
    const { frames, cursor } = window.slice(this.channels, this.#cursor, 1);
    const [next] = frames;
    return window.idAt(next === undefined ? cursor : next.position - 1);
  }

  /**
   * Waits for the next entries. Only one call at a time.
   *
   * @returns `undefined` once the reader is closed, or has everything and is ending.
   */
  async take(): Promise<Taken | undefined> {
    this.#join();
    for (;;) {
      if (this.#phase === "closed") return undefined;
      const taken = this.#wait === "none" ? this.#next() : undefined;
      if (taken !== undefined) return taken;
      if (this.#phase === "ending" && this.#wait !== "turn") return undefined;
      await new Promise<void>((resolve) => {
        this.#resume = resolve;
      });
    }
  }

  /** No more entries follow: `take` still gives those that are there. */
  end(): void {
    if (this.#phase !== "closed") this.#phase = "ending";
    this.#wake();
  }

  close(): void {
    this.#phase = "closed";
    this.#step = undefined;
    for (const channel of this.channels.keys()) this.#audience.leave(channel, this);
    this.#wake();
  }

  /** The entries themselves are in the window. */
  deliver(): void {
    this.#leftBytes = SLICE_BYTES;
    this.#wake();
  }

  overtaken(): void {
    this.#wake();
  }

  reset(reason: ResetReason): void {
    // The id may belong to the new history: it is looked up there.
    if (this.#after !== undefined || this.#wait === "place") return;
    this.#reset = reason;
    this.#wake();
  }

  takeTurn(): void {
    if (this.#wait === "turn") this.#wait = "none";
    this.#leftBytes = SLICE_BYTES;
    this.#wake();
  }

  #wake(): void {
    this.#resume?.();
    this.#resume = undefined;
  }

  #join(): void {
    if (this.#hasJoined || this.#phase === "closed") return;
    this.#hasJoined = true;
    for (const channel of this.channels.keys()) this.#audience.join(channel, this);
    const after = this.#after;
    if (after === undefined) return;
    this.#after = undefined;
    // Expired entries are not replayed, even if nothing was published since.
    this.#audience.window.trim(performance.now());
    if (!isId(after) || after === "") return this.#placed("unknown");
    const isWanted = (): boolean => this.#phase !== "closed";
    const place = this.#audience.locate(after, this.channels, isWanted);
    if (!(place instanceof Promise)) return this.#placed(place);
    this.#wait = "place";
    void place.then((found) => {
      this.#wait = "none";
      this.#placed(found);
      this.#wake();
    });
  }

  #placed(place: Place): void {
    if (typeof place === "number") this.#cursor = place;
    else this.#reset = place;
  }

  /** @returns The entries or the reset that can be taken now; `undefined` if the caller has to wait. */
  #next(): Taken | undefined {
    const { window } = this.#audience;
    if (this.#reset === undefined && this.#isOvertaken()) this.#reset = "overflow";
    if (this.#reset !== undefined) return this.#takeReset(this.#reset);
    if (this.#step === undefined && this.#cursor >= window.tail) return undefined;
    if (this.#leftBytes <= 0) {
      // Every client that is behind gets a slice in turn, and so does every reader.
      this.#wait = "turn";
      this.#audience.schedule(this);
      return undefined;
    }
    const latest = this.#step === undefined ? undefined : this.#takeLatest(this.#step);
    if (latest !== undefined || this.#wait !== "none") return latest;
    if (this.#reset !== undefined) return this.#takeReset(this.#reset);
    const { frames, cursor } = window.slice(this.channels, this.#cursor, TAKE_BYTES);
    this.#cursor = cursor;
    return frames.length === 0 ? undefined : this.#taken(frames);
  }

  /** Everything after this place is still to come, and everything before it may be incomplete. */
  #takeReset(reset: ResetReason): Taken {
    const { window } = this.#audience;
    this.#reset = undefined;
    this.#step = undefined;
    this.#cursor = window.tail;
    return { reset, events: [], id: window.tailId };
  }

  /** @returns `undefined` if there is nothing (more) to take of it, or the log has to be read first. */
  #takeLatest(step: Step): Taken | undefined {
    const { window } = this.#audience;
    const past = step.needsPast(window)
      ? this.#audience.readBack(
          () => step.hasPast(window),
          () => this.#step === step,
        )
      : undefined;
    if (past !== undefined) {
      this.#wait = "past";
      void past.then(() => {
        this.#wait = "none";
        this.#wake();
      });
      return undefined;
    }
    if (step.isOvertaken(window)) {
      this.#reset = "overflow";
      return undefined;
    }
    const { frames, cursor } = step.nextLatest(window, TAKE_BYTES);
    if (frames.length > 0) this.#origin = undefined;
    if (cursor >= step.upTo) this.#step = undefined;
    return frames.length === 0 ? undefined : this.#taken(frames);
  }

  #taken(frames: readonly WindowEntry[]): Taken {
    this.#leftBytes -= sizeOf(frames);
    const { window, decoded } = this.#audience;
    // Decoded at once: events of a quiet channel lie far apart, and each would keep the memory of many others.
    const events = frames.map((entry) => decoded.of(entry));
    const last = frames.at(-1) as WindowEntry;
    // The cursor is behind all `latest` events from the beginning.
    const id = this.#step === undefined ? window.idAt(this.#cursor) : undefined;
    return { reset: undefined, events, id: id ?? decoded.of(last).id };
  }

  /** Whether a due entry has left the window because the reader was slower than the retention allows. */
  #isOvertaken(): boolean {
    const { window } = this.#audience;
    if (window.holdsAfter(this.#cursor)) return false;
    if (!window.holdsAfter(this.#cursor, this.channels)) return true;
    // The dropped entries were not due.
    this.#cursor = window.first - 1;
    return false;
  }
}
