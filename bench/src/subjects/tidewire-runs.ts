import { createServer } from "node:http";
import { createHub } from "@tidewire/core";
import { createRuns } from "@tidewire/runs";
import { blockSize } from "../block-size.js";
import { HandFed } from "../hand-fed.js";
import { channelOf, listen } from "../listen.js";
import type { Subject } from "../subject.js";

// Channels named `run…` are runs, followed from their beginning; all others are channels of the same hub.

export const subject: Subject = {
  async start({ heartbeatMs }) {
    const hub = createHub({ heartbeatMs, reconnectionTimeMs: false });
    const runs = createRuns({ maxRuns: 100_000, maxBytes: 64 * 1_048_576, keepMs: 0 });
    /** The run ids and numbers of items, from which their ids are made. */
    const begun = new Map<string, { runId: string; items: number }>();
    const sources = new HandFed((key) => {
      void runs.start(key, ({ runId }) => {
        begun.set(key, { runId, items: 0 });
        return sources.open(key);
      });
    });
    const server = createServer((request, response) => {
      const session = hub.createSession({ request, response });
      const key = channelOf(request.url);
      if (!key.startsWith("run")) return void session.subscribe(key);
      sources.ensure(key);
      void runs.follow(key, session);
    });

    return {
      port: await listen(server),
      publish(channel, text) {
        if (!channel.startsWith("run")) {
          return hub
            .publish(channel, text)
            .then(({ id }) => ({ id, blockBytes: blockSize(id, text) }));
        }
        sources.feed(channel, text);
        const run = begun.get(channel);
        if (run === undefined || text === "") return undefined;
        run.items += 1;
        const id = `${run.runId}.${run.items}`;
        return { id, blockBytes: blockSize(id, text) };
      },
    };
  },
};
