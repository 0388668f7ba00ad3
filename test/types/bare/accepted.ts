// A separate program, because declarations on responses apply to all of it.
import { createHub, sse, sseHandler } from "@tidewire/express/bare";
import type { Hub, ResponseWithSse } from "@tidewire/express/bare";
import express from "express";

/** Channels of one of two hubs. */
interface AdminChannels {
  audit: { login: { user: string } };
}

declare global {
  namespace Express {
    interface Response extends ResponseWithSse<"events">, ResponseWithSse<"admin", AdminChannels> {
      // A declaration of another package under the usual name.
      sse(text: string): void;
    }
  }
}

/** Two hubs in one program, beside another property called `sse`. */
function useBare(): void {
  const hub: Hub<AdminChannels> = createHub<AdminChannels>();
  const events = sse({ property: "events", maxSessions: 5 });
  const app = express();
  app.use(events, sse({ hub, property: "admin" }));
  app.get("/", (_request, response) => {
    response.sse("theirs");
    void response.events.subscribe("any channel");
    void response.admin.subscribe("audit", {
      snapshot: () => [{ event: "login", data: { user: "a" } }],
    });
    void response.admin.hub.publish("audit", { event: "login", data: { user: "a" } });
    // @ts-expect-error -- There is no such channel.
    void response.admin.subscribe("news");
    // @ts-expect-error -- Another session cannot be assigned.
    response.events = response.admin;
    // @ts-expect-error -- There is no such property.
    void response.stream;
  });
  app.get("/news", sseHandler("news", { latest: 5 }, { property: "events" }));
  app.get("/audit", sseHandler<AdminChannels>("audit", {}, { property: "admin" }));
  void events.hub.publish("news", "text");
  // @ts-expect-error -- No name.
  sse({ property: 5 });
  // @ts-expect-error -- There is no such option.
  sseHandler("news", {}, { name: "events" });
}
void useBare;
