/** How far a reply has come, and when it counts as sent. */

import type { FastifyReply } from "fastify";

/**
 * Progress of a reply, as a sum of the flags below. `undefined` where the plugin's hooks do not run: in a scope
 * registered before it.
 */
export const PROGRESS: unique symbol = Symbol("tidewire.progress");
/** The request is in a hook: its handler has not run yet. */
export const IN_HOOKS = 1;
/** An error occurred, and the error handler answers. */
export const FAILED = 2;
/** A session has answered. Whether the reply counts as sent follows from the other flags. */
export const ANSWERED = 4;
/** The session's answer is being passed on, so the reply must accept it. */
export const SENDING = 8;

/** A reply with the progress recorded by the plugin's hooks. */
export type TrackedReply = FastifyReply & { [PROGRESS]?: number };

/** Sets some flags and clears others. */
export function setProgress(reply: TrackedReply, on: number, off: number): void {
  reply[PROGRESS] = ((reply[PROGRESS] ?? 0) & ~off) | on;
}

/** Prototypes of replies, one for each scope, that were prepared. */
const PREPARED: WeakSet<object> = new WeakSet();

/**
 * Lets sessions decide whether their replies count as sent, in the scope of a reply.
 *
 * For hooks, a reply with a stream counts as sent, so that no further hook and no handler runs. For a handler it does
 * not, because Fastify would only log errors thrown after that.
 *
 * Defined once for all replies of a scope: defined on each reply, it would make each a slow object.
 */
export function prepareScope(reply: TrackedReply): void {
  const prototype = Object.getPrototypeOf(reply) as FastifyReply;
  if (PREPARED.has(prototype)) return;
  PREPARED.add(prototype);
  const own = Object.getOwnPropertyDescriptor(prototype, "sent")?.get;
  const parent = Object.getPrototypeOf(prototype) as object;
  Object.defineProperty(prototype, "sent", {
    configurable: true,
    enumerable: true,
    get(this: TrackedReply): unknown {
      const progress = this[PROGRESS] ?? 0;
      if ((progress & ANSWERED) === 0) {
        return own === undefined ? Reflect.get(parent, "sent", this) : own.call(this);
      }
      if ((progress & SENDING) !== 0) return false;
      return (progress & IN_HOOKS) !== 0 || this.raw.writableEnded;
    },
  });
}
