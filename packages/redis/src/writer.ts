/** Publishes to the stream over a connection of its own. */

import { SseError } from "@tidewire/core";
import type { LogHealth, LogMessage, PublishOptions } from "@tidewire/core/log";
import { isElsewhere, isRefusal } from "./client.js";
import type { Client } from "./client.js";
import { evaluate } from "./commands.js";
import { Connection } from "./connection.js";
import { Deadline } from "./deadline.js";
import { drawTag, encodeEntry, formatId } from "./entry.js";
import { siblingKey } from "./key.js";
import type { ResolvedRedisLogOptions } from "./options.js";
import { ADD_ONCE, TRIM } from "./scripts.js";

/** Old events are dropped so many times within the age at which they are too old. */
const TRIMS_PER_AGE = 20;
/** But not more often than once in so many milliseconds. */
const MIN_TRIM_MS = 1_000;

const LONE_SURROGATE = /\p{Surrogate}/u;

/** What is under way over one client. */
interface Sent {
  /** Publishes that have no reply yet. */
  unanswered: number;
  /** Set once Redis has said that the stream is elsewhere. */
  elsewhere: unknown;
}

/**
 * Adds events to the stream, each at most once.
 *
 * An event that was sent and not answered is not sent again: Redis may have it. The error of a publish says whether the
 * event is certainly not there, or whether that is unknown.
 *
 * While a publish is under way, its deadline keeps the process alive. At any other time nothing here does.
 */
export class Writer {
  readonly #options: ResolvedRedisLogOptions;
  readonly #connection: Connection;
  /** What every command that adds an entry begins with. */
  readonly #add: readonly string[];
  /** What has yet to be settled. */
  readonly #pending: Set<Promise<unknown>> = new Set();
  /** When old events were last dropped. */
  #trimmedAt = -Infinity;
  #state: "connecting" | "live" | "down" = "connecting";
  #reconnects = 0;
  /** That of the newest client. */
  #sent: Sent | undefined;
  #isClosed = false;

  /** @param down - Receives why the connection was lost, or could not be made. */
  constructor(options: ResolvedRedisLogOptions, down: (error: unknown) => void) {
    this.#options = options;
    const { key, retention } = options;
    this.#add = ["XADD", key, "MAXLEN", "~", String(retention.maxEvents), "*"];
    this.#connection = new Connection(options.locator, true, {
      up: () => {
        this.#sent = { unanswered: 0, elsewhere: undefined };
        if (this.#state === "down") this.#reconnects += 1;
        this.#state = "live";
      },
      down: (error) => {
        this.#state = "down";
        down(error);
      },
    });
  }

  /** Health of a log that only publishes. */
  get health(): LogHealth {
    return { state: this.#state, lagMs: 0, reconnects: this.#reconnects };
  }

  /** As `Log.append`. */
  append(
    channel: string,
    message: LogMessage,
    { dedupeKey }: PublishOptions = {},
  ): Promise<string> {
    if (this.#isClosed) {
      return Promise.reject(new SseError("ERR_SSE_CLOSED", "The log is closed"));
    }
    // As UTF-8 it would be another name, on which other sessions are.
    if (LONE_SURROGATE.test(channel)) {
      const fault = "Expected a channel to be text: it has half of a surrogate pair";
      return Promise.reject(new SseError("ERR_SSE_INVALID_OPTION", fault));
    }
    const tag = drawTag();
    const fields = encodeEntry(tag, channel, message);
    const command =
      dedupeKey === undefined ? [...this.#add, ...fields] : this.#addOnce(fields, tag, dedupeKey);
    const added = this.#send(command).then((reply) =>
      dedupeKey === undefined ? formatId({ streamId: reply, tag }) : reply,
    );
    this.#pending.add(added);
    const settled = (): void => void this.#pending.delete(added);
    added.then(settled, settled);
    return added;
  }

  /**
   * Takes nothing more, and closes the connection once all is settled. Never rejects.
   *
   * @param withinMs - As for `Log.close`.
   */
  async close(withinMs?: number): Promise<void> {
    this.#isClosed = true;
    const settled = Promise.allSettled(this.#pending);
    if (withinMs !== undefined) {
      let timer: NodeJS.Timeout | undefined;
      const over = new Promise((resolve) => {
        timer = setTimeout(resolve, withinMs);
      });
      await Promise.race([settled, over]);
      clearTimeout(timer);
      // What was sent is rejected as unknown, what was not sent as rejected.
      this.#connection.close();
    }
    await settled;
    this.#connection.close();
  }

  #addOnce(fields: readonly string[], tag: string, dedupeKey: string): string[] {
    const { key, retention, dedupeWindowMs } = this.#options;
    const keys = [key, siblingKey(key, "once"), siblingKey(key, "once:old")];
    const limits = [String(retention.maxEvents), String(dedupeWindowMs)];
    // As UTF-8 half of a surrogate pair is the same whichever half it is. JSON escapes it.
    return evaluate(ADD_ONCE, keys, ...limits, JSON.stringify(dedupeKey), tag, ...fields);
  }

  #send(command: readonly string[]): Promise<string> {
    return new Promise((resolve, reject) => {
      this.#connection.use(
        (client) => {
          this.#trim(client);
          const sent = this.#sent as Sent;
          sent.unanswered += 1;
          const deadline = this.#deadline(sent, (error) => reject(unknown(error)));
          client.sendCommand(command).then(
            (reply) => {
              this.#connection.heard();
              deadline.clear();
              resolve(String(reply));
              this.#answered(sent, true);
            },
            (error: unknown) => {
              deadline.clear();
              reject(isRefusal(error) ? rejected(error) : unknown(error));
              if (isElsewhere(error)) sent.elsewhere = error;
              // Whatever Redis refuses for other reasons: the connection is of use.
              this.#answered(sent, isRefusal(error));
            },
          );
        },
        (error) => reject(rejected(error)),
      );
    });
  }

  /**
   * Where the stream has moved away, the connection is given up, and the next one leads to where it is: but only once
   * everything that was sent is answered. It was refused as well, and its publishers are to know.
   */
  #answered(sent: Sent, isOfUse: boolean): void {
    sent.unanswered -= 1;
    if (sent.elsewhere === undefined) {
      if (isOfUse) this.#connection.succeed();
    } else if (this.#sent === sent) {
      this.#connection.retire(sent.elsewhere);
      if (sent.unanswered === 0) this.#connection.fail(sent.elsewhere);
    }
  }

  /** The time within which Redis has to answer a publish that is sent now. */
  #deadline(sent: Sent, expired: (error: Error) => void): Deadline {
    const ms = this.#options.publishTimeoutMs;
    const before = this.#connection.received;
    return new Deadline({
      ms,
      isBackground: false,
      expired: () => {
        const error = new Error(`No reply from Redis within ${ms} ms`);
        expired(error);
        // If others were answered meanwhile, Redis is slow but there. If not, no reply will come to any of them.
        const isSilent = this.#connection.received === before;
        if (isSilent || sent.elsewhere !== undefined) this.#connection.fail(error);
      },
    });
  }

  #trim(client: Client): void {
    const { key, retention } = this.#options;
    const now = performance.now();
    if (now - this.#trimmedAt < Math.max(MIN_TRIM_MS, retention.maxAgeMs / TRIMS_PER_AGE)) return;
    this.#trimmedAt = now;
    // What is not dropped now is dropped later; and what keeps Redis from it, the publish behind will meet too.
    client.sendCommand(evaluate(TRIM, [key], String(retention.maxAgeMs))).catch(() => {});
  }
}

function rejected(cause: unknown): SseError {
  return new SseError(
    "ERR_SSE_LOG_REJECTED",
    "The event was not published: Redis did not take it",
    {
      statusCode: 503,
      cause,
    },
  );
}

function unknown(cause: unknown): SseError {
  return new SseError(
    "ERR_SSE_LOG_UNKNOWN",
    "Redis did not answer: nobody knows whether the event was published. With a `dedupeKey` it is safe to try again",
    { statusCode: 503, cause },
  );
}
