/** A node with presence on a log, and watchers that build the set of present identities from what they are sent. */

import type { Log, LogEntry } from "../../src/log/log.js";
import { resolveOptions } from "../../src/options/hub.js";
import { PRESENCE_DEFAULTS } from "../../src/options/presence.js";
import type { PresenceOptions, PresentIdentities } from "../../src/options/presence.js";
import { Presence } from "../../src/presence/presence.js";
import type { EventMessage } from "../../src/wire/message.js";

/** The state of a client of a presence channel. */
export class Watcher {
  readonly present: Set<string> = new Set();
  /** Every event, as `join ada`. */
  readonly seen: string[] = [];
  resets = 0;
  /** Events that have arrived while the state is awaited. */
  #held: { event?: string | undefined; data?: unknown }[] | undefined;
  #takes = 0;

  /** Begins with the state, as a subscription does. */
  take(presence: Presence, channel: string): void {
    const take = ++this.#takes;
    const state = presence.stateOf(channel);
    if (!(state instanceof Promise)) {
      this.#held = undefined;
      return this.#receiveAll(state);
    }
    this.#held = [];
    void state.then((messages) => {
      if (take !== this.#takes) return;
      const held = this.#held ?? [];
      this.#held = undefined;
      this.#receiveAll([...messages, ...held]);
    });
  }

  receive(message: { event?: string | undefined; data?: unknown }): void {
    if (this.#held !== undefined) this.#held.push(message);
    else this.#receiveAll([message]);
  }

  #receiveAll(messages: readonly { event?: string | undefined; data?: unknown }[]): void {
    for (const { event = "", data } of messages) {
      const { identities } = (
        typeof data === "string" ? JSON.parse(data) : data
      ) as PresentIdentities;
      if (event === "presence") this.present.clear();
      for (const identity of identities) {
        if (event === "presence-leave") this.present.delete(identity);
        else this.present.add(identity);
        if (event !== "presence") this.seen.push(`${event.slice(9)} ${identity}`);
      }
    }
  }
}

/** The part of a hub that presence needs. */
export class NodeUnderTest {
  readonly presence: Presence;
  readonly watchers: Map<string, Watcher> = new Map();
  readonly errors: unknown[] = [];
  /** Called after each entry. */
  onEntry: (entry: LogEntry) => void = () => {};
  readonly #log: Log;

  constructor(log: Log, options: PresenceOptions = {}, maxEventBytes?: number) {
    this.#log = log;
    this.presence = new Presence(
      { ...PRESENCE_DEFAULTS, ...(options as object) },
      {
        log,
        options: resolveOptions(maxEventBytes === undefined ? {} : { maxEventBytes }),
        missed: (channel) => this.#reset(channel.slice("~presence:".length)),
        report: (error) => this.errors.push(error),
      },
    );
    void log.start({
      entries: (entries) => this.#entries(entries),
      reset: () => {
        this.presence.voided();
        for (const channel of this.watchers.keys()) this.#reset(channel);
      },
      failed: (error) => this.errors.push(error),
    });
    this.presence.begin();
  }

  watch(channel: string): Watcher {
    const watcher = new Watcher();
    this.watchers.set(channel, watcher);
    watcher.take(this.presence, channel);
    return watcher;
  }

  async close(): Promise<void> {
    this.presence.close();
    await this.#log.close();
  }

  #reset(channel: string): void {
    const watcher = this.watchers.get(channel);
    if (watcher === undefined) return;
    watcher.resets += 1;
    watcher.take(this.presence, channel);
  }

  #entries(entries: readonly LogEntry[]): boolean {
    for (const entry of entries) {
      const message: EventMessage | undefined = this.presence.translate(entry);
      const channel = entry.channel.slice("~presence:".length);
      if (message !== undefined) this.watchers.get(channel)?.receive(message);
      this.onEntry(entry);
    }
    for (const _ of entries) this.presence.settle();
    return true;
  }
}
