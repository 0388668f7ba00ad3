/** The identities that are present on each channel in this process. */

import { Deque } from "../delivery/deque.js";

/** One identity on one channel. */
interface Attendee {
  /** Its streams that are subscribed. */
  sessions: number;
  /** When the last of them closed. Valid while there is none. */
  leftAt: number;
}

/** An identity whose last stream has closed. */
interface Leaving {
  readonly channel: string;
  readonly identity: string;
  readonly at: number;
}

/** Identities by channel. Those whose last stream has closed stay for a while. */
export class Attendance {
  readonly #lingerMs: number;
  readonly #channels: Map<string, Map<string, Attendee>> = new Map();
  /** In the order of time. Some may have come back. */
  readonly #leaving = new Deque<Leaving>([]);

  constructor(lingerMs: number) {
    this.#lingerMs = lingerMs;
  }

  /** Whether no identity is present. */
  get isEmpty(): boolean {
    return this.#channels.size === 0;
  }

  /** Whether an identity is present. */
  has(channel: string, identity: string): boolean {
    return this.#channels.get(channel)?.has(identity) === true;
  }

  /** A stream joins. @returns Whether its identity was absent. */
  joined(channel: string, identity: string): boolean {
    let attendees = this.#channels.get(channel);
    if (attendees === undefined) this.#channels.set(channel, (attendees = new Map()));
    const attendee = attendees.get(identity);
    if (attendee !== undefined) attendee.sessions += 1;
    else attendees.set(identity, { sessions: 1, leftAt: 0 });
    return attendee === undefined;
  }

  /** A stream leaves. @returns Whether its identity is absent now. */
  left(channel: string, identity: string): boolean {
    const attendee = this.#channels.get(channel)?.get(identity);
    if (attendee === undefined || attendee.sessions === 0) return false;
    attendee.sessions -= 1;
    if (attendee.sessions > 0) return false;
    this.#delete(channel, identity);
    return true;
  }

  /** A stream has closed. Its identity stays for a while. */
  closed(channel: string, identity: string, now: number): void {
    const attendee = this.#channels.get(channel)?.get(identity);
    if (attendee === undefined || attendee.sessions === 0) return;
    attendee.sessions -= 1;
    if (attendee.sessions > 0) return;
    attendee.leftAt = now;
    this.#leaving.push({ channel, identity, at: now });
  }

  /** When {@link Attendance.expire} has something to do; `undefined` if never. */
  get nextAt(): number | undefined {
    const next = this.#leaving.at(0);
    return next === undefined ? undefined : next.at + this.#lingerMs;
  }

  /** @returns The identities whose time is over: they are absent now. */
  expire(now: number): Leaving[] {
    const absent: Leaving[] = [];
    for (let next = this.#leaving.at(0); next !== undefined; next = this.#leaving.at(0)) {
      if (next.at + this.#lingerMs > now) break;
      this.#leaving.shift();
      const attendee = this.#channels.get(next.channel)?.get(next.identity);
      if (attendee?.sessions !== 0 || attendee.leftAt !== next.at) continue;
      this.#delete(next.channel, next.identity);
      absent.push(next);
    }
    return absent;
  }

  /** Iterates over all channels and their identities. */
  *[Symbol.iterator](): Iterator<readonly [channel: string, identities: string[]]> {
    for (const [channel, attendees] of this.#channels) yield [channel, [...attendees.keys()]];
  }

  #delete(channel: string, identity: string): void {
    const attendees = this.#channels.get(channel);
    attendees?.delete(identity);
    if (attendees?.size === 0) this.#channels.delete(channel);
  }
}
