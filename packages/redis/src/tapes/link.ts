/** The connection for the commands of the tapes, all of which are answered at once. */

import { SseError } from "@tidewire/core";
import { runOutside } from "@tidewire/core/adapter";
import { isElsewhere, isRefusal } from "../client.js";
import type { Client } from "../client.js";
import { Connection } from "../connection.js";
import { Deadline } from "../deadline.js";
import type { Locator } from "../locator.js";

/** A command that was sent and not answered, over a connection that was lost. */
class LostError extends Error {}

/** How a command is sent. */
export interface SendOptions {
  /** Whether the process may exit before the reply. */
  readonly isBackground?: boolean | undefined;
}

/**
 * Sends commands over one connection, each with a deadline.
 *
 * It is opened by the first command. A command whose reply is lost may have been carried out. Every command of the
 * tapes may be repeated.
 */
export class Link {
  readonly #connection: Connection;
  readonly #timeoutMs: number;
  readonly #failed: (error: unknown) => void;
  /** Whether the last reply was a refusal, which was reported. */
  #isRefused = false;

  /**
   * @param timeoutMs - Deadline of a command.
   * @param failed - Called once per outage, and once per series of refusals.
   */
  constructor(locator: Locator, timeoutMs: number, failed: (error: unknown) => void) {
    this.#timeoutMs = timeoutMs;
    this.#failed = failed;
    let isDown = false;
    this.#connection = new Connection(locator, true, {
      up: () => void (isDown = false),
      down: (error) => {
        if (!isDown) failed(error);
        isDown = true;
      },
    });
  }

  /** Waits without limit until commands can be sent. Rejects once the link is closed. */
  ready(): Promise<void> {
    return new Promise((resolve, reject) => {
      runOutside(() => this.#connection.use(() => resolve(), reject, true));
    });
  }

  /**
   * Sends a command. Waits at most a second for a lost connection, and sends it again over another one, within the
   * deadline.
   *
   * @returns The reply. Rejects with `ERR_SSE_TAPES_UNAVAILABLE`.
   */
  async send<Reply>(
    args: readonly string[],
    { isBackground = false }: SendOptions = {},
  ): Promise<Reply> {
    const endsAt = performance.now() + this.#timeoutMs;
    for (;;) {
      try {
        return await this.#sendOnce<Reply>(args, isBackground);
      } catch (error) {
        const isAgain = error instanceof LostError && performance.now() < endsAt;
        if (!isAgain) throw unavailable(error instanceof LostError ? error.cause : error);
      }
    }
  }

  /** Cuts the connection. Pending and later commands are rejected. */
  close(): void {
    this.#connection.close();
  }

  #sendOnce<Reply>(args: readonly string[], isBackground: boolean): Promise<Reply> {
    return new Promise((resolve, reject) => {
      // A connection outlives the request that is the first to need it.
      runOutside(() => {
        this.#connection.use((client) => {
          const deadline = this.#deadline(isBackground, reject);
          this.#ask<Reply>(client, args, deadline).then(resolve, reject);
        }, reject);
      });
    });
  }

  async #ask<Reply>(client: Client, args: readonly string[], deadline: Deadline): Promise<Reply> {
    try {
      const reply = (await client.sendCommand(args)) as Reply;
      this.#connection.heard();
      this.#connection.succeed();
      this.#isRefused = false;
      return reply;
    } catch (error) {
      if (isElsewhere(error)) {
        this.#connection.fail(error);
        throw new LostError("Another server is responsible", { cause: error });
      }
      if (!isRefusal(error)) throw new LostError("The connection was lost", { cause: error });
      this.#connection.succeed();
      if (!this.#isRefused) this.#failed(error);
      this.#isRefused = true;
      throw error;
    } finally {
      deadline.clear();
    }
  }

  #deadline(isBackground: boolean, fail: (error: unknown) => void): Deadline {
    const ms = this.#timeoutMs;
    const before = this.#connection.received;
    return new Deadline({
      ms,
      isBackground,
      expired: () => {
        const error = new Error(`No reply from Redis within ${ms} ms`);
        fail(error);
        // If other commands were answered meanwhile, Redis is slow but alive.
        if (this.#connection.received === before) this.#connection.fail(error);
      },
    });
  }
}

function unavailable(cause: unknown): SseError {
  return new SseError("ERR_SSE_TAPES_UNAVAILABLE", "Redis did not answer, or refused", {
    statusCode: 503,
    cause,
  });
}
