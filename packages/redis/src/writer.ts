/** Publishes to the stream over a separate connection. */

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

/** How often old events are dropped within their maximum age. */
const TRIMS_PER_AGE = 20;
/** Shortest time between two drops, in milliseconds. */
const MIN_TRIM_MS = 1_000;

const LONE_SURROGATE = /\p{Surrogate}/u;

/** Publishes pending on one client. */
interface Sent {
  /** Publishes without a reply so far. */
  unanswered: number;
  /** Set once Redis has answered that the stream is elsewhere. */
  elsewhere: unknown;
}

/**
 * Adds events to the stream, each at most once.
 *
 * An event that was sent but not answered is not sent again, because Redis may have it. The error of a publish says
 * whether the event is certainly not in the stream or whether that is unknown.
 *
 * A pending publish keeps the process alive through its deadline. Otherwise the writer does not.
 */
export class Writer {
  readonly #options: ResolvedRedisLogOptions;
  readonly #connection: Connection;
  /** Start of every command that adds an entry. */
  readonly #add: readonly string[];
  /** Publishes not settled yet. */
  readonly #pending: Set<Promise<unknown>> = new Set();
  /** Time of the last drop of old events. */
  #trimmedAt = -Infinity;
  #state: "connecting" | "live" | "down" = "connecting";
  #reconnects = 0;
  /** Publishes of the newest client. */
  #sent: Sent | undefined;
  #isClosed = false;

  /** @param down - Receives why the connection was lost or could not be opened. */
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

  /** Same as `Log.append`. */
  append(
    channel: string,
    message: LogMessage,
    { dedupeKey }: PublishOptions = {},
  ): Promise<string> {
    if (this.#isClosed) {
      return Promise.reject(new SseError("ERR_SSE_CLOSED", "The log is closed"));
    }
    // In UTF-8 it would become another name, with other subscribers.
    if (LONE_SURROGATE.test(channel)) {
      const fault = "Expected a channel without lone surrogates";
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
   * Rejects further events, and closes the connection once pending ones have settled. Never rejects.
   *
   * @param withinMs - Same as for `Log.close`.
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
      // Events already sent are rejected as unknown, others as not published.
      this.#connection.close();
    }
    await settled;
    this.#connection.close();
  }

  #addOnce(fields: readonly string[], tag: string, dedupeKey: string): string[] {
    const { key, retention, dedupeWindowMs } = this.#options;
    const keys = [key, siblingKey(key, "once"), siblingKey(key, "once:old")];
    const limits = [String(retention.maxEvents), String(dedupeWindowMs)];
    // In UTF-8 all lone surrogates become the same character. JSON escapes them.
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
              // Redis has refused for another reason: the connection works.
              this.#answered(sent, isRefusal(error));
            },
          );
        },
        (error) => reject(rejected(error)),
      );
    });
  }

  /**
   * If the stream has moved to another server, the connection is abandoned, and the next one leads there. That waits
   * until everything sent has been answered: those commands were refused too, and their publishers need to know.
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

  /** The deadline for a publish that is sent now. */
  #deadline(sent: Sent, expired: (error: Error) => void): Deadline {
    const ms = this.#options.publishTimeoutMs;
    const before = this.#connection.received;
    return new Deadline({
      ms,
      isBackground: false,
      expired: () => {
        const error = new Error(`No reply from Redis within ${ms} ms`);
        expired(error);
        // If other publishes were answered meanwhile, Redis is slow but alive. If not, no reply will come to any.
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
    // Entries not dropped now are dropped later. If Redis fails here, the publish that follows fails too.
    client.sendCommand(evaluate(TRIM, [key], String(retention.maxAgeMs))).catch(() => {});
  }
}

function rejected(cause: unknown): SseError {
  return new SseError(
    "ERR_SSE_LOG_REJECTED",
    "The event was not published: Redis did not accept it",
    {
      statusCode: 503,
      cause,
    },
  );
}

function unknown(cause: unknown): SseError {
  return new SseError(
    "ERR_SSE_LOG_UNKNOWN",
    "Redis did not answer: the event may or may not have been published. With a `dedupeKey` it is safe to retry",
    { statusCode: 503, cause },
  );
}
