// Koa: the hub takes Node's own request and response.
import { json } from "node:stream/consumers";
import { createHub } from "@tidewire/core";
import Koa from "koa";

type Channels = { news: { headline: { title: string } } };

const hub = createHub<Channels>();
const app = new Koa();

app.use(async (context, next) => {
  if (context.path !== "/news" || context.method !== "GET") return next();
  // Koa leaves the response alone.
  context.respond = false;
  const session = hub.createSession({ request: context.req, response: context.res });
  void session.subscribe("news", { latest: 20 });
});

app.use(async (context, next) => {
  if (context.path !== "/news" || context.method !== "POST") return next();
  const { title } = (await json(context.req)) as { title: string };
  context.status = 202;
  context.body = await hub.publish("news", { event: "headline", data: { title } });
});

const port = Number(process.env["PORT"] ?? 3000);
const server = app.listen(port, "127.0.0.1", () => console.log(`http://127.0.0.1:${port}`));

for (const signal of ["SIGINT", "SIGTERM"]) {
  process.once(signal, async () => {
    await hub.close();
    // Browsers open connections in advance. close() alone would wait for them.
    server.close().closeAllConnections();
  });
}
