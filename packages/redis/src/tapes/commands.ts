/** The scripts of the tapes as functions: their arguments and the meaning of their replies. */

import { randomBytes } from "node:crypto";
import type { Outcome, RunEnd, RunState } from "@tidewire/runs/tapes";
import { evaluate } from "../commands.js";
import { siblingKey } from "../key.js";
import type { Portion } from "./appends.js";
import type { Producer } from "./producer.js";
import { encodeEnd } from "./record.js";
import {
  APPEND,
  CREATE,
  END,
  FOLLOW,
  LEAVE,
  LIST,
  READ,
  RENEW,
  STATE,
  STOP,
  TELL,
  UNFOLLOWED,
} from "./scripts.js";

/** A run: its encoded key, and which of the runs of that key it is. */
export interface RunName {
  readonly name: string;
  readonly generation: string;
}

/** A run that this process follows, and how many items it has. */
export interface Reading extends RunName {
  readonly has: number;
}

/** Reply of a script about one run: `ok`, `behind` for a follower that lacks items, or the outcome. */
export type Status = "ok" | "behind" | Outcome;

/** A part of a tape. */
export type Part = readonly [
  /** Whether the reader then has everything, there is more, or the tape is not the one that it has read. */
  status: "all" | "more" | "gone",
  /** Rest of the producer's lease in milliseconds. */
  leaseMs: string,
  records: readonly string[],
];

/** State of a run as a script describes it. */
export type Description = readonly [
  key: string,
  generation: string,
  state: RunState["state"],
  error: string,
  items: string,
  startedAt: string,
  endedAt: string,
];

/** Names that a page of `list` looks at. */
const PAGE_NAMES = "200";

/** The commands of one store of tapes. */
export class TapeCommands {
  /** Key of the notices to this node. */
  readonly mailbox: string;
  readonly #base: string;
  readonly #node: string;
  readonly #leaseMs: string;

  /**
   * @param key - Key that names the store.
   * @param node - Id of this process in the store.
   */
  constructor(key: string, node: string, leaseMs: number) {
    this.#base = siblingKey(key, "");
    this.#node = node;
    this.#leaseMs = String(leaseMs);
    this.mailbox = `${this.#base}node:${node}`;
  }

  /** Replies `ok`, `going` or `full`. */
  create({ name, generation }: RunName, key: string, keepMs: number, maxRuns: number): string[] {
    const limits = [this.#leaseMs, String(keepMs), String(maxRuns)];
    return this.#run(CREATE, [this.#state(name)], name, key, generation, this.#node, ...limits);
  }

  /** Replies with a {@link Status} for each portion. */
  append(portions: readonly Portion[]): string[] {
    const parts = portions.flatMap(({ producer: { name, generation, taken }, records }) => [
      name,
      generation,
      String(taken + 1),
      String(records.length),
      ...records,
    ]);
    return this.#run(
      APPEND,
      portions.flatMap(({ producer }) => this.#keys(producer)),
      ...parts,
    );
  }

  /**
   * Replies with a {@link Status}.
   *
   * @param items - Number of items that have to be on the tape; `undefined` for any.
   */
  end({ name, generation }: RunName, end: RunEnd, items?: number): string[] {
    const texts = [end.outcome, end.error ?? "", encodeEnd(end), String(items ?? "")];
    return this.#run(END, [this.#state(name)], name, generation, ...texts);
  }

  /** Replies with 1 if there was a run to end. */
  stop(name: string): string[] {
    const call = randomBytes(6).toString("base64url");
    return this.#run(STOP, [this.#state(name)], name, call);
  }

  /** Replies with a {@link Status} for each. */
  renew(produced: readonly Producer[], followed: readonly Reading[]): string[] {
    const parts = [
      ...produced.flatMap(({ name, generation }) => ["p", name, generation, "0"]),
      ...followed.flatMap(({ name, generation, has }) => ["f", name, generation, String(has)]),
    ];
    const keys = [...produced, ...followed].flatMap((run) => this.#keys(run));
    return this.#run(RENEW, keys, this.#node, this.#leaseMs, ...parts);
  }

  /** Replies with the generation, or `null` if there is no run. */
  follow(name: string): string[] {
    return this.#run(FOLLOW, [this.#state(name)], this.#node, this.#leaseMs, name);
  }

  /** Tells this node to read a tape. */
  wake({ name, generation }: RunName): string[] {
    const notice = `f${name}.${generation}`;
    return this.#run(TELL, [this.mailbox], this.#node, notice, this.#leaseMs);
  }

  leave({ name, generation }: RunName): string[] {
    return this.#run(LEAVE, [this.#state(name)], this.#node, generation);
  }

  /** Replies with milliseconds. */
  unfollowed({ name, generation }: RunName): string[] {
    return this.#run(UNFOLLOWED, [this.#state(name)], generation);
  }

  /** Replies with a {@link Part} for each. */
  read(readings: readonly Reading[], bytes: number): string[] {
    return this.#run(
      READ,
      readings.flatMap((run) => this.#keys(run)),
      String(bytes),
      ...readings.flatMap(({ name, generation, has }) => [name, generation, String(has)]),
    );
  }

  /** Replies with a {@link Description}, or `null` if there is no run. */
  state(name: string): string[] {
    return this.#run(STATE, [this.#state(name)], name);
  }

  /** Replies with the next cursor, `"0"` at the end, and a {@link Description} for each run. */
  list(prefix: string, cursor: string): string[] {
    // No character of an encoded key has a meaning in a pattern.
    return this.#run(LIST, [`${this.#base}runs`], cursor, `${prefix}*`, PAGE_NAMES);
  }

  /** Takes the notices to this node. */
  notices(most: number): string[] {
    return ["ZPOPMIN", this.mailbox, String(most)];
  }

  /** Takes one notice, and waits for it. */
  notice(waitMs: number): string[] {
    return ["BZPOPMIN", this.mailbox, (waitMs / 1_000).toFixed(3)];
  }

  #run(script: string, keys: readonly string[], ...args: readonly string[]): string[] {
    return evaluate(script, keys, this.#base, ...args);
  }

  #keys({ name, generation }: RunName): string[] {
    return [this.#state(name), `${this.#base}tape:${name}.${generation}`];
  }

  #state(name: string): string {
    return `${this.#base}run:${name}`;
  }
}

/** @returns The state of a run, as a caller gets it. */
export function stateOf(
  name: string,
  [key, generation, state, error, items, startedAt, endedAt]: Description,
): RunState {
  return {
    key,
    runId: `${name}.${generation}`,
    state,
    ...(error !== "" && { error }),
    items: Number(items),
    startedAt: Number(startedAt),
    ...(endedAt !== "" && { endedAt: Number(endedAt) }),
  };
}
