import { SseError } from "@tidewire/core";
import type { LogMessage, PublishOptions } from "@tidewire/core";
import { isRefusal } from "./client.js";
import type { RedisClient } from "./client.js";
import { Connection } from "./connection.js";
import { drawTag, encodeEntry, formatId } from "./entry.js";
import { siblingKey } from "./key.js";
import type { ResolvedRedisLogOptions } from "./options.js";
import { ADD_ONCE, TRIM } from "./scripts.js";

/** Old events are dropped so many times within the age at which they are too old. */
const TRIMS_PER_AGE = 20;
/** But not more often than once in so many milliseconds. */
const MIN_TRIM_MS = 1_000;

const LONE_SURROGATE = /\p{Surrogate}/u;

/**
 * Adds events to the stream, each at most once.
 *
 * An event that was sent and not answered is not sent again: Redis may have it. Whoever publishes is told which of
 * the two it is, that it is certainly not there or that nobody knows.
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
  #closing: Promise<void> | undefined;

  /** @param down - Receives why the connection was lost, or could not be made. */
  constructor(options: ResolvedRedisLogOptions, down: (error: unknown) => void) {
    this.#options = options;
    const { key, retention } = options;
    this.#add = ["XADD", key, "MAXLEN", "~", String(retention.maxEvents), "*"];
    this.#connection = new Connection(options.source, false, {
      // Whatever Redis refuses from now on: this connection is not lost by it.
      up: () => this.#connection.succeed(),
      down,
    });
  }

  /** The connection, which may be used for other short commands. */
  get connection(): Connection {
    return this.#connection;
  }

  /** As `Log.append`. */
  append(
    channel: string,
    message: LogMessage,
    { dedupeKey }: PublishOptions = {},
  ): Promise<string> {
    if (this.#closing !== undefined) {
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

  /** Takes nothing more, and closes the connection once all is settled. Never rejects. */
  close(): Promise<void> {
    this.#closing ??= Promise.allSettled(this.#pending).then(() => this.#connection.close());
    return this.#closing;
  }

  #addOnce(fields: readonly string[], tag: string, dedupeKey: string): string[] {
    const { key, retention, dedupeWindowMs } = this.#options;
    const limits = [String(retention.maxEvents), String(dedupeWindowMs)];
    return [
      "EVAL",
      ADD_ONCE,
      "2",
      key,
      siblingKey(key, `once:${dedupeKey}`),
      ...limits,
      tag,
      ...fields,
    ];
  }

  #send(command: readonly string[]): Promise<string> {
    return new Promise((resolve, reject) => {
      this.#connection.use(
        (client) => {
          this.#trim(client);
          // The whole connection, because the reply to whatever comes behind would be as late.
          const timer = this.#connection.expectReply(this.#options.publishTimeoutMs);
          client.sendCommand(command).then(
            (reply) => {
              clearTimeout(timer);
              resolve(String(reply));
            },
            (error: unknown) => {
              clearTimeout(timer);
              reject(isRefusal(error) ? rejected(error) : unknown(error));
            },
          );
        },
        (error) => reject(rejected(error)),
      );
    });
  }

  #trim(client: RedisClient): void {
    const { key, retention } = this.#options;
    const now = performance.now();
    if (now - this.#trimmedAt < Math.max(MIN_TRIM_MS, retention.maxAgeMs / TRIMS_PER_AGE)) return;
    this.#trimmedAt = now;
    // What is not dropped now is dropped later; and what keeps Redis from it, the publish behind will meet too.
    client.sendCommand(["EVAL", TRIM, "1", key, String(retention.maxAgeMs)]).catch(() => {});
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
