/** The sessions of each identity in this process, and how many of them may be open. */

import { describeValue } from "../errors.js";
import { checkName, invalidOption } from "../options/check.js";
import type { ResolvedOptions } from "../options/hub.js";
import { checkIdentity } from "../options/identity.js";
import { checkChannel } from "../options/subscribe.js";

/** Which sessions `hub.sessions` returns. */
export interface SessionFilter<Name extends string = string> {
  /**
   * Only sessions of this identity.
   *
   * @defaultValue sessions of all clients
   */
  readonly identity?: string | undefined;
  /**
   * Only sessions that are subscribed to this channel.
   *
   * @defaultValue sessions with any channels, or none
   */
  readonly channel?: Name | undefined;
}

/**
 * Checks a filter.
 *
 * @throws {SseError} `ERR_SSE_INVALID_OPTION` if it has an unknown name or an invalid value.
 */
export function checkSessionFilter(filter: SessionFilter): void {
  if (typeof filter !== "object" || filter === null) {
    throw invalidOption(
      `Expected the filter of sessions() to be an object, got ${describeValue(filter)}`,
    );
  }
  for (const name of Object.keys(filter)) checkName(name, ["identity", "channel"]);
  const { identity, channel } = filter;
  if (identity !== undefined) checkIdentity(identity);
  if (channel !== undefined) checkChannel(channel);
}

/** Most members in an array, which is copied for each change. */
const MOST_LISTED = 8;

/**
 * Members by identity, in the order in which they were added.
 *
 * Nearly every identity has one or two: they need no set, of which ten thousand would weigh megabytes.
 */
class ByIdentity<Member extends object> {
  readonly #members: Map<string, Member | readonly Member[] | Set<Member>> = new Map();

  add(identity: string, member: Member): void {
    const all = this.#members.get(identity);
    if (all === undefined) {
      this.#members.set(identity, member);
    } else if (all instanceof Set) {
      all.add(member);
    } else {
      const list = [...listOf(all), member];
      this.#members.set(identity, list.length > MOST_LISTED ? new Set(list) : list);
    }
  }

  delete(identity: string, member: Member): void {
    const all = this.#members.get(identity);
    if (all === undefined) return;
    if (all instanceof Set) {
      all.delete(member);
      if (all.size === 0) this.#members.delete(identity);
      return;
    }
    const left = listOf(all).filter((other) => other !== member);
    const [only] = left;
    if (only === undefined) this.#members.delete(identity);
    else this.#members.set(identity, left.length === 1 ? only : left);
  }

  countOf(identity: string): number {
    const all = this.#members.get(identity);
    if (all === undefined) return 0;
    if (all instanceof Set) return all.size;
    return Array.isArray(all) ? all.length : 1;
  }

  oldestOf(identity: string): Member | undefined {
    const all = this.#members.get(identity);
    if (all === undefined) return undefined;
    for (const member of all instanceof Set ? all : listOf(all)) return member;
    return undefined;
  }

  /** @returns A copy. */
  of(identity: string): Member[] {
    const all = this.#members.get(identity);
    if (all === undefined) return [];
    return all instanceof Set ? [...all] : [...listOf(all)];
  }
}

function listOf<Member extends object>(all: Member | readonly Member[]): readonly Member[] {
  return Array.isArray(all) ? (all as readonly Member[]) : [all as Member];
}

/** A session, as far as its identity matters. */
export interface IdentifiedSession {
  /** Closes the session: a newer one of the same identity takes its place. */
  replace(): void;
}

/** The sessions that have an identity. */
export class Identities<Session extends IdentifiedSession> {
  readonly #limit: ResolvedOptions["maxSessionsPerIdentity"];
  /** Sessions whose stream has not started. */
  readonly #pending: ByIdentity<Session> = new ByIdentity();
  /** Streams that accept messages, oldest first. */
  readonly #open: ByIdentity<Session> = new ByIdentity();

  constructor({ maxSessionsPerIdentity }: Pick<ResolvedOptions, "maxSessionsPerIdentity">) {
    this.#limit = maxSessionsPerIdentity;
  }

  /** Whether another stream of an identity is turned away. */
  isFull(identity: string): boolean {
    const limit = this.#limit;
    return (
      limit !== false && limit.excess === "refuse" && this.#open.countOf(identity) >= limit.max
    );
  }

  /** A session is known to belong to an identity. Its stream has not started. */
  identified(identity: string, session: Session): void {
    this.#pending.add(identity, session);
  }

  /** The stream of a session starts. Closes the oldest ones past the limit. */
  started(identity: string, session: Session): void {
    this.#pending.delete(identity, session);
    const limit = this.#limit;
    const isExcess = limit !== false && this.#open.countOf(identity) >= limit.max;
    const oldest = isExcess ? this.#open.oldestOf(identity) : undefined;
    if (oldest !== undefined) this.#open.delete(identity, oldest);
    this.#open.add(identity, session);
    // Last, because it may run application code.
    oldest?.replace();
  }

  /** A session accepts no more messages. */
  left(identity: string, session: Session): void {
    this.#pending.delete(identity, session);
    this.#open.delete(identity, session);
  }

  /** @returns The open sessions of an identity, oldest first. */
  openOf(identity: string): Session[] {
    return this.#open.of(identity);
  }

  /** @returns All sessions of an identity: open ones first. */
  allOf(identity: string): Session[] {
    return [...this.#open.of(identity), ...this.#pending.of(identity)];
  }
}
