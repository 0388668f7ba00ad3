import { createServer } from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Hub } from "@tidewire/core";
import { blockSize } from "./block-size.js";
import { channelsOf, listen } from "./listen.js";
import type { RunningSubject } from "./subject.js";

/**
 * Serves a hub on plain `node:http`.
 *
 * @param answer - Answers requests that are not for a stream. @returns Whether it does.
 */
export async function serveHub(
  hub: Hub,
  answer: (request: IncomingMessage, response: ServerResponse) => boolean = () => false,
): Promise<RunningSubject> {
  const server = createServer((request, response) => {
    if (answer(request, response)) return;
    const session = hub.createSession({ request, response });
    if (request.url?.startsWith("/open") === true) session.open();
    else void session.subscribe(channelsOf(request.url));
  });
  return {
    port: await listen(server),
    publish(channel, text) {
      return hub.publish(channel, text).then(({ id }) => ({ id, blockBytes: blockSize(id, text) }));
    },
  };
}
