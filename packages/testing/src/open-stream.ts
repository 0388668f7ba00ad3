/** Opens streams under test. */

import type { ChannelMap, ChannelsOf } from "@tidewire/core";
import { unexpected } from "@tidewire/core/adapter";
import { connectTo, injectInto } from "./connection.js";
import { enter, isFastify } from "./listening.js";
import type { FastifyLike, StreamTarget } from "./listening.js";
import { checkOpenOptions, requestOf } from "./options.js";
import type { OpenStreamOptions, StreamRequest } from "./options.js";
import { stackOf } from "./stream-error.js";
import { TestStream } from "./test-stream.js";
import type { StreamParts } from "./test-stream.js";

/** Deadline of a wait, in milliseconds: below the usual time limits of test runners, five seconds. */
const WITHIN_MS = 3_000;

/**
 * Opens an event stream over a real socket.
 *
 * An application, instance or server that does not listen yet listens on a free port of 127.0.0.1 as long as one of its
 * streams is open. One that listens is used as it is.
 *
 * @typeParam Channels - Channels of the application with their event and data types: they type `next` and `events`.
 * @param target - An Express application or another request listener, a Fastify instance, a server of `node:http` or
 *   `node:https`, or a URL.
 * @param path - Path of the stream with its query, such as `/news?topic=sea`.
 * @param options - The request, and the deadline of waits.
 * @returns The stream, once it is open: events that are published on its channels from then on arrive. Rejects with a
 *   {@link StreamError} if the answer is no event stream (with `status` and `body`), or does not come in time; with
 *   `ERR_SSE_INVALID_OPTION` if the target or an option is invalid.
 */
export async function openStream<Channels extends ChannelsOf<Channels> = ChannelMap>(
  target: StreamTarget,
  path: string,
  options: OpenStreamOptions = {},
): Promise<TestStream<Channels>> {
  const stack = stackOf(openStream);
  const request = checkedRequest(path, options);
  const { origin, isOwn, leave } = await enter(target);
  const connect = connectTo(origin, isOwn);
  return open(stack, options, { request, connect, leave, url: `${origin}${path}` });
}

/**
 * Opens an event stream of a Fastify instance without a socket, through `fastify.inject` with `payloadAsStream`.
 *
 * Everything works as with {@link openStream}, apart from the network: `cut("rst")` and `cut("fin")` are the same, and
 * a client that stalls is noticed after a few KiB.
 *
 * @typeParam Channels - As for {@link openStream}.
 * @param fastify - The instance. It does not listen.
 * @param path - Path of the stream with its query.
 * @param options - The request, and the deadline of waits.
 * @returns As {@link openStream}.
 */
export async function injectStream<Channels extends ChannelsOf<Channels> = ChannelMap>(
  fastify: FastifyLike,
  path: string,
  options: OpenStreamOptions = {},
): Promise<TestStream<Channels>> {
  const stack = stackOf(injectStream);
  const request = checkedRequest(path, options);
  if (!isFastify(fastify)) throw unexpected("fastify", "a Fastify instance", fastify);
  await fastify.ready();
  return open(stack, options, {
    request,
    connect: injectInto(fastify as unknown as Parameters<typeof injectInto>[0]),
    leave: async () => {},
    url: `http://localhost${path}`,
  });
}

async function open<Channels extends ChannelsOf<Channels>>(
  stack: string | undefined,
  options: OpenStreamOptions,
  parts: Pick<StreamParts, "request" | "connect" | "leave" | "url">,
): Promise<TestStream<Channels>> {
  const { lastEventId = "", subscribed = false, withinMs = WITHIN_MS } = options;
  const stream = new TestStream<Channels>({ ...parts, lastEventId, subscribed, withinMs });
  try {
    await stream.connect(lastEventId, withinMs, stack);
    return stream;
  } catch (error) {
    await stream.close();
    throw error;
  }
}

function checkedRequest(path: unknown, options: OpenStreamOptions): StreamRequest {
  checkOpenOptions(options);
  if (typeof path === "string" && path.startsWith("/")) return requestOf(path, options);
  throw unexpected("path", "a path that begins with `/`", path);
}
