/** Disconnects: control entries of the log that end the sessions of an identity on all nodes. */

import { describeValue } from "../errors.js";
import type { LogEntry, LogMessage } from "../log/log.js";
import { checkName, invalidOption, unexpected } from "../options/check.js";
import { checkIdentity } from "../options/identity.js";
import { checkChannel } from "../options/subscribe.js";

/** Which sessions `hub.disconnect` closes, and whether their clients may come back. */
export interface DisconnectFilter<Name extends string = string> {
  /** Whose sessions. */
  readonly identity: string;
  /**
   * Only sessions that are subscribed to this channel, or are about to be.
   *
   * @defaultValue all sessions of the identity
   */
  readonly channel?: Name | undefined;
  /**
   * Tells the clients not to reconnect, as `complete()` does. One that does so with a last event ID from
   * before the disconnect is answered 204, on any node, for as long as the hub's `retention.maxAgeMs`. A client without
   * a last event ID is new: `identify` and `authorize` decide.
   *
   * @defaultValue `false`: clients reconnect, and `identify` and `authorize` decide again
   */
  readonly final?: boolean | undefined;
}

/** Channel of the control entries. */
export const DISCONNECT_CHANNEL = "~disconnect";

/**
 * Checks what `disconnect` was given.
 *
 * @throws {SseError} `ERR_SSE_INVALID_OPTION` if it has an unknown name or an invalid value.
 */
export function checkDisconnect(filter: DisconnectFilter): void {
  if (typeof filter !== "object" || filter === null) {
    throw invalidOption(`Expected disconnect() to get { identity }, got ${describeValue(filter)}`);
  }
  for (const name of Object.keys(filter)) checkName(name, ["identity", "channel", "final"]);
  const { identity, channel, final } = filter;
  checkIdentity(identity);
  if (channel !== undefined) checkChannel(channel);
  if (final !== undefined && typeof final !== "boolean") {
    throw unexpected("final", "true or false", final);
  }
}

/**
 * Encodes a disconnect for the log.
 *
 * @throws {SseError} Same as {@link checkDisconnect}.
 */
export function encodeDisconnect(filter: DisconnectFilter): LogMessage {
  checkDisconnect(filter);
  const { identity, channel, final } = filter;
  return { data: JSON.stringify({ identity, channel, final }) };
}

/**
 * Decodes a control entry.
 *
 * @returns `undefined` if it is not a disconnect.
 * @throws {SseError} `ERR_SSE_INVALID_OPTION` if another program has written an invalid one.
 */
export function decodeDisconnect({ channel, data }: LogEntry): DisconnectFilter | undefined {
  if (channel !== DISCONNECT_CHANNEL) return undefined;
  let filter: DisconnectFilter;
  try {
    filter = JSON.parse(data) as DisconnectFilter;
  } catch {
    throw invalidOption(`Expected a disconnect in the log to be JSON, got ${describeValue(data)}`);
  }
  checkDisconnect(filter);
  return filter;
}

/** A final disconnect. */
interface Revocation {
  readonly id: string;
  /** When it was published, in milliseconds of a monotonic clock. */
  readonly at: number;
}

/** Size at which old disconnects are dropped for the first time. */
const FIRST_PRUNE = 64;

/** The final disconnects that are still retained: the newest of each identity, and of each of its channels. */
export class Revocations {
  readonly #maxAgeMs: number;
  readonly #compare: (a: string, b: string) => number;
  readonly #revocations: Map<string, Revocation> = new Map();
  /** Size at which old ones are dropped. */
  #pruneAt = FIRST_PRUNE;

  /**
   * @param maxAgeMs - How long a disconnect is kept.
   * @param compare - The order of ids.
   */
  constructor(maxAgeMs: number, compare: (a: string, b: string) => number) {
    this.#maxAgeMs = maxAgeMs;
    this.#compare = compare;
  }

  /**
   * Adds a final disconnect.
   *
   * @param id - Its id in the log.
   * @param at - When it was published, in milliseconds of a monotonic clock.
   */
  add({ identity, channel }: DisconnectFilter, id: string, at: number): void {
    const key = keyOf(identity, channel);
    const known = this.#revocations.get(key);
    // Older entries may be read after newer ones.
    if (known !== undefined && this.#compare(known.id, id) > 0) return;
    this.#revocations.set(key, { id, at });
    if (this.#revocations.size >= this.#pruneAt) this.#prune();
  }

  /**
   * Whether a request comes from before a final disconnect.
   *
   * @param lastEventId - As the client reports it: any text.
   * @param channels - Channels that it subscribes to.
   */
  bars(identity: string, lastEventId: string, channels: Iterable<string>): boolean {
    if (this.#revocations.size === 0 || lastEventId === "") return false;
    if (this.#isBefore(lastEventId, keyOf(identity, undefined))) return true;
    for (const channel of channels) {
      if (this.#isBefore(lastEventId, keyOf(identity, channel))) return true;
    }
    return false;
  }

  #isBefore(lastEventId: string, key: string): boolean {
    const revocation = this.#revocations.get(key);
    if (revocation === undefined) return false;
    if (performance.now() - revocation.at > this.#maxAgeMs) {
      this.#revocations.delete(key);
      return false;
    }
    return this.#compare(lastEventId, revocation.id) < 0;
  }

  #prune(): void {
    const now = performance.now();
    for (const [key, { at }] of this.#revocations) {
      if (now - at > this.#maxAgeMs) this.#revocations.delete(key);
    }
    this.#pruneAt = Math.max(FIRST_PRUNE, 2 * this.#revocations.size);
  }
}

function keyOf(identity: string, channel: string | undefined): string {
  return JSON.stringify([identity, channel]);
}
