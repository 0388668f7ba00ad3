/** Who is present on which channel: tells the log about this process, and learns of all nodes from it. */

import { randomBytes } from "node:crypto";
import type { Log, LogEntry, LogMessage } from "../log/log.js";
import type { ResolvedOptions } from "../options/hub.js";
import { presenceOf, subjectOf } from "../options/presence.js";
import type { PresentIdentities, ResolvedPresenceOptions } from "../options/presence.js";
import { prepareMessage } from "../wire/frame.js";
import type { EventMessage, SseMessage } from "../wire/message.js";
import { Attendance } from "./attendance.js";
import { NODES_CHANNEL, decodeChange, decodeNodeEntry, encodeEntry, partsOf } from "./entry.js";
import type { Answer, ChangeEntry, NodeEntry } from "./entry.js";
import { Roster } from "./roster.js";

/** Longest wait for the answers of other nodes, in milliseconds. */
const ANSWER_MS = 1_000;
/** Pause before an entry that the log has not accepted is tried again, in milliseconds. */
const RETRY_MS = 1_000;
/** Looks at leases during one lease. */
const TICKS_PER_LEASE = 6;

/** The parts of a hub that presence uses. */
export interface PresenceParts {
  readonly log: Log;
  readonly options: ResolvedOptions;
  /** What was sent to the members of a presence channel may be wrong: they need a reset. */
  missed(channel: string): void;
  report(error: unknown): void;
}

/** Another node. */
interface Node {
  /** When its identities count as absent, in milliseconds of a monotonic clock. */
  expiresAt: number;
}

/**
 * Who is present on which channel, on all nodes.
 *
 * Each node adds an entry to the log when the first stream of an identity joins a channel and after the last has left.
 * All nodes add these up in the order of the log, so they agree, at each position, on who is present: an entry that
 * changes that becomes an event of the presence channel there, any other only moves the position.
 *
 * What a node has told is compared with what is so whenever one of the two changes. An entry that is lost, or a lease
 * that has ended while the node was only slow, is mended that way.
 */
export class Presence {
  readonly #log: Log;
  readonly #options: ResolvedOptions;
  readonly #settings: ResolvedPresenceOptions;
  readonly #parts: PresenceParts;
  readonly #isLocal: boolean;
  /** Names this process among the nodes. */
  readonly #self = randomBytes(9).toString("base64url");
  readonly #attendance: Attendance;
  readonly #roster = new Roster();
  readonly #nodes: Map<string, Node> = new Map();
  /** Identities that may be present without having been told, or the reverse. */
  readonly #untold: Map<string, Set<string>> = new Map();
  /** Changes that are on their way to the log and back: one on each channel. */
  readonly #pending: Map<string, ChangeEntry> = new Map();
  /** Nodes that have said hello and wait for an answer. */
  readonly #asking: Set<string> = new Set();
  /** Channels about which this process has learned too late. */
  readonly #missed: Set<string> = new Set();
  /** Callers that wait until this process knows who is present. `undefined` once it does. */
  #waiting: (() => void)[] | undefined = [];
  /** Nodes whose answer is awaited, and those that have answered. */
  readonly #awaited: Set<string> = new Set();
  readonly #answered: Set<string> = new Set();
  /** Whether the log has not accepted the hello of this node. */
  #owesHello = false;
  #isClosed = false;
  #hasFailed = false;
  #invalid: unknown;
  #isFlushing = false;
  #toldAt = -Infinity;
  #tickedAt = 0;
  #ticks: NodeJS.Timeout | undefined;
  #lingering: NodeJS.Timeout | undefined;
  #retry: NodeJS.Timeout | undefined;
  #patience: NodeJS.Timeout | undefined;

  constructor(settings: ResolvedPresenceOptions, parts: PresenceParts) {
    this.#settings = settings;
    this.#parts = parts;
    this.#log = parts.log;
    this.#options = parts.options;
    this.#isLocal = parts.log.isLocal === true;
    this.#attendance = new Attendance(settings.lingerMs);
  }

  /** Whether presence is kept for a channel. */
  isKept(channel: string): boolean {
    try {
      return this.#settings.channels(channel);
    } catch (error) {
      this.#parts.report(error);
      return false;
    }
  }

  /** The log has a position: asks the other nodes who is present. */
  begin(): void {
    if (this.#isClosed) return;
    if (this.#isLocal) return this.#knows();
    this.#waiting ??= [];
    this.#awaited.clear();
    this.#answered.clear();
    clearTimeout(this.#patience);
    this.#patience = setTimeout(() => this.#knows(), ANSWER_MS).unref();
    this.#owesHello = true;
    this.#hello();
    if (this.#ticks !== undefined) return;
    this.#tickedAt = performance.now();
    const everyMs = this.#settings.leaseMs / TICKS_PER_LEASE;
    this.#ticks = setInterval(() => this.#tick(everyMs), everyMs).unref();
  }

  /** Every position of the log is void, so nothing that was told counts. */
  voided(): void {
    this.#roster.clear();
    this.#nodes.clear();
    this.#pending.clear();
    this.#asking.clear();
    this.#missed.clear();
    this.#doubtAll();
    this.begin();
    this.#flushSoon();
  }

  /** A stream of an identity has joined channels. */
  joined(identity: string, channels: readonly string[]): void {
    for (const channel of channels) {
      if (subjectOf(channel) !== channel || !this.isKept(channel)) continue;
      if (this.#attendance.joined(channel, identity)) this.#doubt(channel, [identity]);
    }
    this.#flushSoon();
  }

  /** An open stream of an identity has left channels. */
  left(identity: string, channels: readonly string[]): void {
    for (const channel of channels) {
      if (this.#attendance.left(channel, identity)) this.#doubt(channel, [identity]);
    }
    this.#flushSoon();
  }

  /** A stream of an identity, with these channels, has closed. */
  closed(identity: string, channels: readonly string[]): void {
    const now = performance.now();
    for (const channel of channels) this.#attendance.closed(channel, identity, now);
    this.#linger();
  }

  /** @returns Resolves with the identities that are present, once this process knows, or after a second. */
  of(channel: string): Promise<string[]> {
    return this.#known().then(() => this.#roster.of(channel));
  }

  /** @returns The messages that show who is present on channels. */
  stateOf(channels: readonly string[]): SseMessage[] | Promise<SseMessage[]> {
    const state = (): SseMessage[] => channels.flatMap((channel) => this.#stateOf(channel));
    return this.#waiting === undefined ? state() : this.#known().then(state);
  }

  /**
   * Adds up an entry of the log. Never throws: {@link Presence.settle} reports.
   *
   * @returns The message for the members of the entry's channel; `undefined` if it is none for them.
   */
  translate(entry: LogEntry): EventMessage | undefined {
    try {
      if (entry.channel === NODES_CHANNEL) {
        this.#addNode(decodeNodeEntry(entry));
        return undefined;
      }
      const change = decodeChange(entry);
      return change === undefined ? undefined : this.#addChange(change);
    } catch (error) {
      this.#invalid ??= error;
      return undefined;
    }
  }

  /** Does what the entries since the last call lead to. */
  settle(): void {
    const error = this.#invalid;
    this.#invalid = undefined;
    if (error !== undefined) this.#parts.report(error);
    for (const node of this.#asking) this.#answer(node);
    this.#asking.clear();
    for (const channel of this.#missed) this.#parts.missed(presenceOf(channel));
    this.#missed.clear();
    this.#flush();
  }

  /** The hub closes. Other nodes keep its identities for a moment, in which their clients come back there. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const timer of [this.#lingering, this.#retry, this.#patience]) clearTimeout(timer);
    clearInterval(this.#ticks);
    this.#knows();
    if (this.#isLocal || this.#toldAt === -Infinity) return;
    this.#append(NODES_CHANNEL, { node: this.#self, bye: this.#settings.lingerMs });
  }

  #hello(): void {
    if (!this.#owesHello) return;
    this.#owesHello = false;
    this.#append(NODES_CHANNEL, { node: this.#self, hello: true }, () => {
      this.#owesHello = true;
    });
  }

  #stateOf(channel: string): SseMessage[] {
    const mostLength = this.#options.maxEventBytes / 4;
    const parts = [...partsOf(this.#roster.of(channel), Math.min(mostLength, 16_384))];
    const [first = [], ...others] = parts;
    return [
      { event: "presence", data: { channel, identities: first } },
      ...others.map((identities) => ({
        event: "presence-join",
        data: { channel, identities } satisfies PresentIdentities,
      })),
    ];
  }

  #known(): Promise<void> {
    if (this.#waiting === undefined) return Promise.resolve();
    return new Promise((resolve) => void this.#waiting?.push(resolve));
  }

  #knows(): void {
    clearTimeout(this.#patience);
    const waiting = this.#waiting;
    this.#waiting = undefined;
    for (const resolve of waiting ?? []) resolve();
  }

  #addNode({ node, hello, bye, answer }: NodeEntry): void {
    const now = performance.now();
    if (node === this.#self) return;
    this.#nodes.set(node, { expiresAt: now + (bye ?? this.#settings.leaseMs) });
    if (hello === true) this.#asking.add(node);
    if (answer?.to === this.#self) this.#addAnswer(node, answer);
  }

  #addAnswer(node: string, { present, nodes }: Answer): void {
    for (const [channel, identities] of present) {
      const isNew = this.#roster.add(node, channel, identities).length > 0;
      // Until then nobody has been shown a state.
      if (isNew && this.#waiting === undefined) this.#missed.add(channel);
    }
    if (nodes === undefined) return;
    this.#answered.add(node);
    for (const other of nodes) if (other !== this.#self) this.#awaited.add(other);
    if ([...this.#awaited].every((other) => this.#answered.has(other))) this.#knows();
  }

  #addChange({
    node,
    by,
    channel,
    join,
    leave,
  }: ChangeEntry & { channel: string }): EventMessage | undefined {
    if (node === this.#self) {
      // Another node has taken this one for dead.
      if (by !== undefined) this.#doubt(channel, leave ?? []);
      else this.#pending.delete(channel);
    } else if (by === undefined) {
      this.#nodes.set(node, { expiresAt: performance.now() + this.#settings.leaseMs });
    }
    const identities =
      join === undefined
        ? this.#roster.remove(node, channel, leave ?? [])
        : this.#roster.add(node, channel, join);
    if (identities.length === 0) return undefined;
    const event = join === undefined ? "presence-leave" : "presence-join";
    return prepareMessage({ event, data: { channel, identities } }, this.#options);
  }

  /** These may differ from what was told. */
  #doubt(channel: string, identities: readonly string[]): void {
    let untold = this.#untold.get(channel);
    if (untold === undefined) this.#untold.set(channel, (untold = new Set()));
    for (const identity of identities) untold.add(identity);
  }

  #doubtAll(): void {
    for (const [channel, identities] of this.#attendance) this.#doubt(channel, identities);
  }

  /** Joins what happens in one turn. */
  #flushSoon(): void {
    if (this.#isFlushing || this.#untold.size === 0) return;
    this.#isFlushing = true;
    queueMicrotask(() => {
      this.#isFlushing = false;
      this.#flush();
    });
  }

  /** Tells the log what has changed. */
  #flush(): void {
    if (this.#isClosed) return;
    for (const channel of this.#untold.keys()) {
      if (!this.#pending.has(channel)) this.#tell(channel);
    }
  }

  #tell(channel: string): void {
    const untold = this.#untold.get(channel);
    if (untold === undefined) return;
    const joined: string[] = [];
    const left: string[] = [];
    for (const identity of untold) {
      const isPresent = this.#attendance.has(channel, identity);
      if (isPresent === this.#roster.has(this.#self, channel, identity)) untold.delete(identity);
      else (isPresent ? joined : left).push(identity);
    }
    if (untold.size === 0) this.#untold.delete(channel);
    // Further parts follow when this one has come back from the log.
    const [leave] = partsOf(left);
    const [join] = partsOf(joined);
    if (leave === undefined && join === undefined) return;
    const change: ChangeEntry =
      leave === undefined ? { node: this.#self, join } : { node: this.#self, leave };
    this.#pending.set(channel, change);
    this.#append(presenceOf(channel), change, () => {
      if (this.#pending.get(channel) === change) this.#pending.delete(channel);
    });
  }

  #answer(to: string): void {
    if (this.#isClosed) return;
    const node = this.#self;
    const parts: (readonly [string, string[]])[] = [];
    for (const [channel, identities] of this.#told()) {
      for (const part of partsOf(identities)) parts.push([channel, part]);
    }
    let present: typeof parts = [];
    let length = 0;
    for (const part of parts) {
      present.push(part);
      length += part[0].length + part[1].join().length;
      if (length < 16_384) continue;
      this.#append(NODES_CHANNEL, { node, answer: { to, present } });
      present = [];
      length = 0;
    }
    const nodes = [...this.#nodes.keys()].filter((other) => other !== to);
    this.#append(NODES_CHANNEL, { node, answer: { to, present, nodes } });
  }

  /** What the log will have been told of this process once everything pending is in it. */
  #told(): Map<string, Set<string>> {
    const told = new Map<string, Set<string>>();
    for (const [channel, identities] of this.#roster.ofNode(this.#self)) {
      told.set(channel, new Set(identities));
    }
    for (const [channel, { join = [], leave = [] }] of this.#pending) {
      const identities = told.get(channel) ?? new Set();
      for (const identity of join) identities.add(identity);
      for (const identity of leave) identities.delete(identity);
      told.set(channel, identities);
    }
    return told;
  }

  #append(channel: string, entry: ChangeEntry | NodeEntry, failed: () => void = () => {}): void {
    const message: LogMessage = encodeEntry(entry);
    const fail = (error: unknown): void => {
      failed();
      if (this.#isClosed) return;
      // The first failure stands for all until one succeeds.
      if (!this.#hasFailed) this.#parts.report(error);
      this.#hasFailed = true;
      this.#retryLater();
    };
    this.#toldAt = performance.now();
    try {
      this.#log.append(channel, message).then(() => {
        this.#hasFailed = false;
      }, fail);
    } catch (error) {
      fail(error);
    }
  }

  #retryLater(): void {
    if (this.#retry !== undefined || this.#isClosed) return;
    this.#retry = setTimeout(() => {
      this.#retry = undefined;
      this.#hello();
      this.#flush();
    }, RETRY_MS).unref();
  }

  #linger(): void {
    const { nextAt } = this.#attendance;
    if (nextAt === undefined || this.#lingering !== undefined || this.#isClosed) return;
    this.#lingering = setTimeout(
      () => {
        this.#lingering = undefined;
        for (const { channel, identity } of this.#attendance.expire(performance.now())) {
          this.#doubt(channel, [identity]);
        }
        this.#flush();
        this.#linger();
      },
      Math.max(1, Math.ceil(nextAt - performance.now())),
    ).unref();
  }

  #tick(everyMs: number): void {
    const now = performance.now();
    const { leaseMs } = this.#settings;
    // Whether this process has heard nothing for a while: it was stopped, or the log could not be read.
    const wasDeaf = now - this.#tickedAt > 2 * everyMs || this.#log.health().state !== "live";
    this.#tickedAt = now;
    if (!this.#attendance.isEmpty && now - this.#toldAt >= leaseMs / 3) {
      this.#append(NODES_CHANNEL, { node: this.#self });
    }
    if (wasDeaf) {
      for (const node of this.#nodes.values())
        node.expiresAt = Math.max(node.expiresAt, now + leaseMs);
      return;
    }
    const rank = [...this.#nodes.keys()].filter((node) => node < this.#self).length;
    for (const [name, node] of this.#nodes) {
      // One node after the other, so that usually only one does it.
      if (now > node.expiresAt + rank * everyMs) this.#bury(name, node, now + 2 * everyMs);
    }
  }

  /** Tells the log that a node is gone. */
  #bury(name: string, node: Node, againAt: number): void {
    const lost = [...this.#roster.ofNode(name)];
    if (lost.length === 0) return void this.#nodes.delete(name);
    node.expiresAt = againAt;
    for (const [channel, identities] of lost) {
      for (const leave of partsOf(identities)) {
        this.#append(presenceOf(channel), { node: name, by: this.#self, leave });
      }
    }
  }
}
