/** Presence: tells the log about this process, and learns about all nodes from it. */

import { randomBytes } from "node:crypto";
import type { Log, LogEntry, LogMessage } from "../log/log.js";
import type { ResolvedOptions } from "../options/hub.js";
import { presenceOf, subjectOf } from "../options/presence.js";
import type { PresentIdentities, ResolvedPresenceOptions } from "../options/presence.js";
import { prepareMessage } from "../wire/frame.js";
import type { EventMessage, SseMessage } from "../wire/message.js";
import { Announcements } from "./announcements.js";
import { Attendance } from "./attendance.js";
import {
  MOST_LENGTH,
  NODES_CHANNEL,
  decodeChange,
  decodeNodeEntry,
  encodeEntry,
  partsOf,
} from "./entry.js";
import type { Answer, ChangeEntry, NodeEntry } from "./entry.js";
import { Nodes } from "./nodes.js";
import { Roster } from "./roster.js";

/** Longest wait for the answers of other nodes, in milliseconds. */
const ANSWER_MS = 1_000;
/** Time after which another node answers for one that is silent, in milliseconds. */
const SILENCE_MS = 300;
/** Pause before an entry that the log has not accepted is tried again, in milliseconds. */
const RETRY_MS = 1_000;
/** Looks at leases during one lease. */
const TICKS_PER_LEASE = 6;

/** The parts of a hub that presence uses. */
export interface PresenceParts {
  readonly log: Log;
  readonly options: ResolvedOptions;
  /** Members of a presence channel may have the wrong state: they need a reset. */
  missed(channel: string): void;
  report(error: unknown): void;
}

/**
 * The identities that are present on each channel, on all nodes.
 *
 * Each node adds an entry to the log when the first stream of an identity joins a channel and after the last has left.
 * All nodes add these up in the order of the log, so they agree, at each position, on who is present: an entry that
 * changes that becomes an event of the presence channel there, any other only moves the position.
 *
 * A node that starts asks the others. A node that is not heard from for a lease is buried: another one appends that its
 * identities have left.
 */
export class Presence {
  readonly #log: Log;
  readonly #options: ResolvedOptions;
  readonly #settings: ResolvedPresenceOptions;
  readonly #parts: PresenceParts;
  readonly #isLocal: boolean;
  /** Name of this process among the nodes. A new one whenever its positions are void. */
  #self: string = newName();
  readonly #attendance: Attendance;
  readonly #roster = new Roster();
  readonly #nodes = new Nodes();
  readonly #announcements: Announcements;
  /** Nodes that have said hello and wait for an answer. */
  readonly #asking: Set<string> = new Set();
  /** Answers that have not come back from the log, with the time of the append. */
  readonly #owedAnswers: Map<string, number> = new Map();
  /** By the node that asks: nodes that have not answered it. */
  readonly #silent: Map<string, Set<string>> = new Map();
  /** Channels about which this process has learned too late. */
  readonly #missed: Set<string> = new Set();
  /** Callers that wait until this process knows who is present. `undefined` once it does. */
  #waiting: (() => void)[] | undefined = [];
  /** The hello that has not come back from the log. */
  #owedHello: NodeEntry["hello"];
  #isClosed = false;
  #hasFailed = false;
  #invalid: unknown;
  /** When an entry of this node was last accepted, or is expected to be. */
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
    this.#announcements = new Announcements({
      attendance: this.#attendance,
      roster: this.#roster,
      mostLength: this.#mostLength,
      self: () => this.#self,
      append: (channel, change, failed) => this.#append(presenceOf(channel), change, failed),
    });
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
    this.#nodes.startOver();
    clearTimeout(this.#patience);
    this.#patience = undefined;
    this.#waitForAnswers();
    this.#owedHello = "new";
    this.#hello();
    if (this.#ticks !== undefined) return;
    this.#tickedAt = performance.now();
    const everyMs = this.#settings.leaseMs / TICKS_PER_LEASE;
    this.#ticks = setInterval(() => this.#tick(everyMs), everyMs).unref();
  }

  /** Every position of the log is void: everything has to be appended again. */
  voided(): void {
    const former = this.#self;
    // Other nodes may have read less of the old history, and keep what this one said there. That expires with its name.
    this.#self = newName();
    this.#roster.clear();
    this.#nodes.clear();
    this.#announcements.clear();
    this.#asking.clear();
    this.#owedAnswers.clear();
    this.#silent.clear();
    this.#missed.clear();
    for (const [channel, identities] of this.#attendance) {
      this.#announcements.doubt(channel, identities);
    }
    this.#announcements.flush();
    this.begin();
    this.#sayBye(former);
  }

  /** A stream of an identity has joined channels. */
  joined(identity: string, channels: readonly string[]): void {
    for (const channel of channels) {
      if (subjectOf(channel) !== channel || !this.isKept(channel)) continue;
      if (this.#attendance.joined(channel, identity)) {
        this.#announcements.doubt(channel, [identity]);
      }
    }
    this.#announcements.flushSoon();
  }

  /** An open stream of an identity has left channels. */
  left(identity: string, channels: readonly string[]): void {
    for (const channel of channels) {
      if (this.#attendance.left(channel, identity)) this.#announcements.doubt(channel, [identity]);
    }
    this.#announcements.flushSoon();
  }

  /** A stream of an identity, with these channels, has closed. */
  closed(identity: string, channels: readonly string[]): void {
    const now = performance.now();
    for (const channel of channels) this.#attendance.closed(channel, identity, now);
    this.#linger();
  }

  /** @returns Resolves with the identities that are present, once this process knows, or after a second. */
  of(channel: string): Promise<string[]> {
    return Promise.resolve(this.#onceKnown(() => this.#roster.of(channel)));
  }

  /** @returns The messages that show who is present on a channel. */
  stateOf(channel: string): SseMessage[] | Promise<SseMessage[]> {
    return this.#onceKnown(() => this.#stateOf(channel));
  }

  /**
   * Adds up an entry of the log. Never throws: {@link Presence.settle} reports.
   *
   * @returns The message for the members of the entry's channel; `undefined` if they get no message.
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
    for (const node of this.#asking) {
      this.#answer(node);
      this.#listenFor(node);
    }
    this.#asking.clear();
    const missed = [...this.#missed];
    this.#missed.clear();
    for (const channel of missed) this.#parts.missed(presenceOf(channel));
    this.#announcements.flush();
  }

  /** The hub closes. Other nodes keep its identities for a moment, in which their clients come back there. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#announcements.close();
    for (const timer of [this.#lingering, this.#retry, this.#patience]) clearTimeout(timer);
    clearInterval(this.#ticks);
    this.#knows();
    this.#sayBye(this.#self);
  }

  /** A name of this process is no longer used. */
  #sayBye(node: string): void {
    if (this.#isLocal || this.#toldAt === -Infinity) return;
    this.#append(NODES_CHANNEL, { node, bye: this.#settings.lingerMs });
  }

  #hello(): void {
    if (this.#owedHello === undefined) return;
    this.#nodes.saysHello();
    this.#append(NODES_CHANNEL, { node: this.#self, hello: this.#owedHello });
  }

  #stateOf(channel: string): SseMessage[] {
    const [first = [], ...others] = partsOf(this.#roster.of(channel), this.#mostLength);
    return [
      { event: "presence", data: { channel, identities: first } },
      ...others.map((identities) => ({
        event: "presence-join",
        data: { channel, identities } satisfies PresentIdentities,
      })),
    ];
  }

  /** Takes a value once this process knows who is present: exactly then, because events follow. */
  #onceKnown<Value>(take: () => Value): Value | Promise<Value> {
    const waiting = this.#waiting;
    if (waiting === undefined) return take();
    // The log may not even have a position.
    this.#waitForAnswers();
    return new Promise((resolve) => void waiting.push(() => resolve(take())));
  }

  #waitForAnswers(): void {
    this.#patience ??= setTimeout(() => this.#knows(), ANSWER_MS).unref();
  }

  #knows(): void {
    clearTimeout(this.#patience);
    this.#patience = undefined;
    const waiting = this.#waiting;
    this.#waiting = undefined;
    for (const take of waiting ?? []) take();
  }

  #addNode({ node, by, forMs, hello, bye, answer }: NodeEntry): void {
    if (answer?.nodes !== undefined) this.#silent.get(answer.to)?.delete(node);
    if (by !== undefined) {
      if (answer !== undefined) this.#addAnswerBy(node, answer, forMs);
    } else if (node === this.#self) {
      if (hello !== undefined) this.#owedHello = undefined;
      if (answer?.nodes !== undefined) this.#owedAnswers.delete(answer.to);
      // It may have arrived after entries that were appended later.
      if (answer !== undefined) this.#addAnswer(node, answer);
    } else {
      if (hello === "new") this.#nodes.hasAnswered(node);
      this.#nodes.heardOf(node, bye ?? this.#settings.leaseMs);
      if (hello !== undefined) this.#asking.add(node);
      if (answer !== undefined) this.#addAnswer(node, answer);
    }
  }

  /** Another node has answered for one that it takes for silent, from what it knew when it did. */
  #addAnswerBy(node: string, answer: Answer, forMs = 0): void {
    if (node !== this.#self) {
      this.#nodes.toldOf(node, forMs);
      return this.#addAnswer(node, answer);
    }
    // Those who have left meanwhile are in it.
    for (const [channel, identities] of answer.present) {
      const left = identities.filter((identity) => !this.#attendance.has(channel, identity));
      if (left.length > 0) this.#announcements.doubt(channel, left, true);
    }
  }

  /** All nodes add it up, so that they agree also when it arrives late. */
  #addAnswer(node: string, { to, present, nodes }: Answer): void {
    for (const [channel, identities] of present) {
      const added = this.#roster.add(node, channel, identities);
      if (node === this.#self) this.#announcements.doubt(channel, identities);
      if (added.length > 0 && this.#waiting === undefined) this.#missed.add(channel);
    }
    if (nodes === undefined || to !== this.#self) return;
    this.#nodes.hasAnswered(node);
    this.#nodes.await(nodes.filter((other) => other !== this.#self));
    if (!this.#nodes.isAwaiting) this.#knows();
  }

  #addChange({
    node,
    by,
    channel,
    join,
    leave,
  }: ChangeEntry & { channel: string }): EventMessage | undefined {
    const changed = join ?? leave ?? [];
    if (node !== this.#self) {
      if (by === undefined) this.#nodes.heardOf(node, this.#settings.leaseMs);
    } else if (by !== undefined) {
      // Another node has taken this one for dead.
      this.#announcements.doubt(channel, changed, true);
    } else {
      this.#announcements.cameBack(channel, changed);
    }
    const identities =
      join === undefined
        ? this.#roster.remove(node, channel, changed)
        : this.#roster.add(node, channel, changed);
    // Until this process knows, no member has been sent a state.
    if (identities.length === 0 || this.#waiting !== undefined) return undefined;
    const event = join === undefined ? "presence-leave" : "presence-join";
    try {
      return prepareMessage({ event, data: { channel, identities } }, this.#options);
    } catch (error) {
      // Their state comes in smaller parts.
      this.#missed.add(channel);
      throw error;
    }
  }

  /** Most characters of identities in one entry, which becomes one event. */
  get #mostLength(): number {
    return Math.min(this.#options.maxEventBytes / 4, MOST_LENGTH);
  }

  #answer(to: string): void {
    if (this.#isClosed) return;
    this.#owedAnswers.set(to, performance.now());
    const nodes = this.#nodes.without(to);
    this.#appendAnswer({ node: this.#self }, to, this.#announcements.told(), nodes);
  }

  /** Waits for the answers of the other nodes that are known. */
  #listenFor(to: string): void {
    const silent = new Set(this.#nodes.without(to));
    if (silent.size === 0) return;
    this.#silent.set(to, silent);
    setTimeout(() => this.#answerForSilent(to, silent), SILENCE_MS).unref();
  }

  /** Nodes that have died keep their identities for a while, of which the node that asks has to know. */
  #answerForSilent(to: string, silent: ReadonlySet<string>): void {
    if (this.#isClosed || this.#silent.get(to) !== silent) return;
    this.#silent.delete(to);
    const isFirst = this.#nodes.without(to).every((name) => silent.has(name) || name > this.#self);
    // Usually only one does it.
    if (!isFirst) return;
    for (const node of silent) {
      const present = [...this.#roster.ofNode(node)];
      if (present.length === 0) continue;
      const forMs = this.#nodes.leftMs(node, performance.now());
      this.#appendAnswer({ node, by: this.#self, forMs }, to, present, []);
    }
  }

  #appendAnswer(
    entry: Pick<NodeEntry, "node" | "by" | "forMs">,
    to: string,
    identitiesOf: Iterable<readonly [channel: string, identities: string[]]>,
    nodes: readonly string[],
  ): void {
    const parts: (readonly [string, string[]])[] = [];
    for (const [channel, identities] of identitiesOf) {
      for (const part of partsOf(identities)) parts.push([channel, part]);
    }
    let present: typeof parts = [];
    let length = 0;
    for (const part of parts) {
      present.push(part);
      length += part[0].length + part[1].join().length;
      if (length < MOST_LENGTH) continue;
      this.#append(NODES_CHANNEL, { ...entry, answer: { to, present } });
      present = [];
      length = 0;
    }
    this.#append(NODES_CHANNEL, { ...entry, answer: { to, present, nodes } });
  }

  #append(channel: string, entry: ChangeEntry | NodeEntry, failed: () => void = () => {}): void {
    const message: LogMessage = encodeEntry(entry);
    const fail = (error: unknown): void => {
      failed();
      if (this.#isClosed) return;
      // Others may not have heard from this node.
      this.#toldAt = Math.min(this.#toldAt, performance.now() - this.#settings.leaseMs / 3);
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
      this.#announcements.retry();
    }, RETRY_MS).unref();
  }

  #linger(): void {
    const { nextAt } = this.#attendance;
    if (nextAt === undefined || this.#lingering !== undefined || this.#isClosed) return;
    this.#lingering = setTimeout(
      () => {
        this.#lingering = undefined;
        for (const { channel, identity } of this.#attendance.expire(performance.now())) {
          this.#announcements.doubt(channel, [identity]);
        }
        this.#announcements.flush();
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
    if (wasDeaf) return this.#nodes.spareUntil(now + leaseMs);
    this.#lookAfterEntries(now, 2 * everyMs);
    for (const name of this.#nodes.expired(this.#self, now, everyMs)) {
      this.#bury(name, now + 2 * everyMs);
    }
  }

  /** Looks after entries that the log has accepted and lost since, as a failover does. */
  #lookAfterEntries(now: number, ms: number): void {
    this.#announcements.giveUp(now - ms);
    for (const [to, at] of this.#owedAnswers) if (now - at > ms) this.#answer(to);
    if (now - this.#nodes.helloAt <= ms) return;
    this.#nodes.forgetGone(now);
    if (this.#nodes.isAwaiting) this.#owedHello ??= "again";
    if (this.#owedHello !== undefined) return this.#hello();
    if (now - this.#nodes.helloAt > this.#settings.leaseMs) this.#nodes.isSettled();
  }

  /** Tells the log that a node is gone. */
  #bury(name: string, againAt: number): void {
    const lost = [...this.#roster.ofNode(name)];
    if (lost.length === 0) return this.#nodes.delete(name);
    this.#nodes.buried(name, againAt);
    for (const [channel, identities] of lost) {
      for (const leave of partsOf(identities)) {
        this.#append(presenceOf(channel), { node: name, by: this.#self, leave });
      }
    }
  }
}

/** @returns A name for this process among the nodes. */
function newName(): string {
  return randomBytes(9).toString("base64url");
}
