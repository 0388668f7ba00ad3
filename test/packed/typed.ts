import { createHub } from "@tidewire/core";
import type { Session } from "@tidewire/core";
import { sse } from "@tidewire/express";
import { ssePlugin } from "@tidewire/fastify";
import { redisLog } from "@tidewire/redis";
import type { Express } from "express";
import type { FastifyInstance } from "fastify";

// Compiled under every module setting. It imports values only from our packages: others need `esModuleInterop`.
type Channels = { news: { headline: { title: string } } };

export function addRoutes(app: Express, instance: FastifyInstance): void {
  const hub = createHub<Channels, unknown>({ log: redisLog({ url: "redis://127.0.0.1:1" }) });
  app.use(sse({ hub }));
  app.get("/news", (_request, response) => {
    const session: Session = response.sse;
    void session.subscribe("news");
  });
  void instance.register(ssePlugin, { hub });
  instance.get("/news", (_request, reply) => {
    void reply.sse.subscribe("news");
    return reply;
  });
  void hub.publish("news", { event: "headline", data: { title: "Flood" } });
  // @ts-expect-error An unresolved type would be `any`, and this would not be an error.
  void hub.publish("news", { event: "headline", data: { title: 1 } });
  // @ts-expect-error Nor would this.
  app.get("/other", (_request, response) => response.sse.unknown());
  // @ts-expect-error Nor would this.
  instance.get("/other", (_request, reply) => reply.sse.unknown());
}
