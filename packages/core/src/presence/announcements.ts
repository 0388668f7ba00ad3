/** The entries that say who is present through this process: appended until they agree with its streams. */

import type { Attendance } from "./attendance.js";
import { namesOf, partsOf } from "./entry.js";
import type { ChangeEntry } from "./entry.js";
import type { Roster } from "./roster.js";

/** The parts of presence that announcements use. */
export interface AnnouncementParts {
  readonly attendance: Attendance;
  readonly roster: Roster;
  /** Most characters of identities in one entry. */
  readonly mostLength: number;
  /** Name of this process among the nodes. */
  self(): string;
  /** Appends a change to the log. Calls `failed` if the log has not accepted it, as far as this process knows. */
  append(channel: string, change: ChangeEntry, failed: () => void): void;
}

/** A change that is on its way to the log and back. */
interface Pending {
  readonly change: ChangeEntry;
  /** Time of the append, in milliseconds of a monotonic clock. */
  readonly at: number;
}

/**
 * The entries of this process about its own streams.
 *
 * It compares its entries with its own streams whenever one of the two may have changed. If the log has lost or not
 * accepted an entry, or another node has written one in its place, the others may have a different state: it then
 * appends another entry in any case.
 */
export class Announcements {
  readonly #parts: AnnouncementParts;
  /** Identities whose entries may be wrong, and whether to append another one even if they seem right. */
  readonly #untold: Map<string, Map<string, boolean>> = new Map();
  /** Channels of `#untold` that may have something to tell now. */
  readonly #due: Set<string> = new Set();
  /** One on each channel. */
  readonly #pending: Map<string, Pending> = new Map();
  #isFlushing = false;
  #willFlush = false;
  #isClosed = false;

  constructor(parts: AnnouncementParts) {
    this.#parts = parts;
  }

  /**
   * The entries may be wrong for these.
   *
   * @param isUnsure - Whether other nodes may have read others than this one knows of.
   */
  doubt(channel: string, identities: Iterable<string>, isUnsure = false): void {
    let untold = this.#untold.get(channel);
    if (untold === undefined) this.#untold.set(channel, (untold = new Map()));
    for (const identity of identities) {
      untold.set(identity, isUnsure || untold.get(identity) === true);
    }
    this.#due.add(channel);
  }

  /** Joins what happens in one turn. */
  flushSoon(): void {
    if (this.#willFlush || this.#due.size === 0) return;
    this.#willFlush = true;
    queueMicrotask(() => {
      this.#willFlush = false;
      this.flush();
    });
  }

  /** Tells the log what has changed. */
  flush(): void {
    // A log in this process delivers within the call. That adds to the set, of which the loop takes notice.
    if (this.#isClosed || this.#isFlushing) return;
    this.#isFlushing = true;
    for (const channel of this.#due) {
      this.#due.delete(channel);
      // Otherwise it is due again when the change has come back.
      if (!this.#pending.has(channel)) this.#tell(channel);
    }
    this.#isFlushing = false;
  }

  /** Tells the log what it has not accepted. */
  retry(): void {
    for (const channel of this.#untold.keys()) this.#due.add(channel);
    this.flush();
  }

  /** A change has come back from the log. */
  cameBack(channel: string, changed: readonly string[]): void {
    this.#pending.delete(channel);
    const untold = this.#untold.get(channel);
    for (const identity of changed) if (untold?.has(identity)) untold.set(identity, false);
    // It may have arrived after entries that were appended later.
    this.doubt(channel, changed);
  }

  /** Appends again what the log has accepted and lost since, as a failover does. */
  giveUp(before: number): void {
    for (const [channel, pending] of this.#pending) {
      if (pending.at >= before) continue;
      this.#lost(channel, pending);
      this.#due.add(channel);
    }
    this.flush();
  }

  /**
   * The state of this process at the position of an entry that is appended now. Joins that are on their way are not part
   * of it: a node that asks reads them itself.
   */
  *told(): Iterable<readonly [channel: string, identities: string[]]> {
    for (const [channel, identities] of this.#parts.roster.ofNode(this.#parts.self())) {
      const leave = new Set(this.#pending.get(channel)?.change.leave);
      const left = identities.filter((identity) => !leave.has(identity));
      if (left.length > 0) yield [channel, left];
    }
  }

  /** Earlier entries do not count any more. */
  clear(): void {
    this.#untold.clear();
    this.#due.clear();
    this.#pending.clear();
  }

  /** Tells nothing more. */
  close(): void {
    this.#isClosed = true;
  }

  #tell(channel: string): void {
    const untold = this.#untold.get(channel);
    if (untold === undefined) return;
    const { attendance, roster, mostLength } = this.#parts;
    const node = this.#parts.self();
    const joined: string[] = [];
    const left: string[] = [];
    for (const [identity, isUnsure] of untold) {
      const isPresent = attendance.has(channel, identity);
      if (!isUnsure && isPresent === roster.has(node, channel, identity)) untold.delete(identity);
      else (isPresent ? joined : left).push(identity);
    }
    if (untold.size === 0) this.#untold.delete(channel);
    // Further parts follow when this one has come back from the log.
    const [leave] = partsOf(left, mostLength);
    const [join] = partsOf(joined, mostLength);
    if (leave === undefined && join === undefined) return;
    const change: ChangeEntry = leave === undefined ? { node, join } : { node, leave };
    const pending = { change, at: performance.now() };
    this.#pending.set(channel, pending);
    this.#parts.append(channel, change, () => this.#lost(channel, pending));
  }

  /** A change has not reached the log, as far as this process knows. */
  #lost(channel: string, pending: Pending): void {
    if (this.#pending.get(channel) !== pending) return;
    this.#pending.delete(channel);
    this.doubt(channel, namesOf(pending.change), true);
    // Not before the log has had time to recover.
    this.#due.delete(channel);
  }
}
