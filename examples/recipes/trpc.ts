// tRPC subscriptions over the log: a client that reconnects gets what it missed, or learns that it must load again.
import { createHub } from "@tidewire/core";
import { initTRPC, tracked } from "@trpc/server";
import { createExpressMiddleware } from "@trpc/server/adapters/express";
import express from "express";
import { z } from "zod";

type Channels = { news: { headline: { title: string } } };

const hub = createHub<Channels>({ retention: { maxEvents: 1_000 } });

const t = initTRPC.create({
  sse: {
    ping: { enabled: true, intervalMs: 15_000 },
    client: { reconnectAfterInactivityMs: 20_000 },
  },
});
const appRouter = t.router({
  publish: t.procedure
    .input(z.object({ title: z.string() }))
    .mutation(({ input }) => hub.publish("news", { event: "headline", data: input })),

  news: t.procedure
    .input(z.object({ lastEventId: z.string().optional() }).optional())
    .subscription(async function* ({ input, signal }) {
      let after = input?.lastEventId;
      if (after === undefined) {
        after = await hub.position();
        // Gives the client a position before its first event: it may be cut before that.
        yield tracked(after, { type: "start" as const });
      }
      for await (const item of hub.read("news", { after, signal })) {
        if (item.type === "reset") yield tracked(item.id, { type: "reset" as const });
        else yield tracked(item.id, { type: item.event, ...item.data });
      }
      // The hub has closed. A subscription that returns is over for good; after this error the client reconnects.
      throw new DOMException("The server is closing", "AbortError");
    }),
});

/** The client imports this type. */
export type AppRouter = typeof appRouter;

const app = express();
app.use("/trpc", createExpressMiddleware({ router: appRouter }));

const port = Number(process.env["PORT"] ?? 3000);
const server = app.listen(port, "127.0.0.1", (error) => {
  if (error) throw error;
  console.log(`http://127.0.0.1:${port}`);
});

for (const signal of ["SIGINT", "SIGTERM"]) {
  process.once(signal, async () => {
    server.close();
    await hub.close();
    // Subscriptions write their last bytes first.
    setImmediate(() => server.closeAllConnections());
  });
}
