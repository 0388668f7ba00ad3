// Notifications for each user: every tab of a user shows the same list, whatever happened while it was away.
import { randomUUID } from "node:crypto";
import { createHub, ssePlugin } from "@tidewire/fastify";
import Fastify from "fastify";
import type { FastifyRequest } from "fastify";

const PAGE = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Notifications</title>
<p>Open <a href="/login/ada">ada</a> and <a href="/login/ben">ben</a> in two browsers.</p>
<ul id="unread"></ul>
<script>
  const list = document.querySelector("#unread");
  const add = ({ id, text }) => {
    // The snapshot may already contain a notification that then comes as an event.
    if (document.getElementById(id) !== null) return;
    const item = document.createElement("li");
    item.id = id;
    item.textContent = text + " ";
    const button = document.createElement("button");
    button.textContent = "Read";
    button.onclick = () => fetch("/notifications/" + id, { method: "DELETE" });
    item.append(button);
    list.prepend(item);
  };

  const events = new EventSource("/notifications");
  events.addEventListener("unread", ({ data }) => {
    list.replaceChildren();
    JSON.parse(data).forEach(add);
  });
  events.addEventListener("added", ({ data }) => add(JSON.parse(data)));
  events.addEventListener("read", ({ data }) => document.getElementById(JSON.parse(data).id)?.remove());
</script>
`;

interface Notification {
  readonly id: string;
  readonly text: string;
}

type Channels = { [user: `user:${string}`]: { added: Notification; read: { id: string } } };

/** Stands in for a table of unread notifications: user, then id. */
const unread = new Map<string, Map<string, Notification>>();

const hub = createHub<Channels>();
const fastify = Fastify({ return503OnClosing: false, forceCloseConnections: true });
await fastify.register(ssePlugin, { hub });

/** Stands in for a login. */
function userOf(request: FastifyRequest): string | undefined {
  return /\buser=(\w+)/.exec(request.headers.cookie ?? "")?.[1];
}

fastify.get("/", (_request, reply) => reply.type("text/html").send(PAGE));

fastify.get<{ Params: { user: string } }>("/login/:user", (request, reply) =>
  reply
    .header("Set-Cookie", `user=${encodeURIComponent(request.params.user)}; Path=/; HttpOnly`)
    .redirect("/"),
);

fastify.get("/notifications", (request, reply) => {
  const user = userOf(request);
  if (user === undefined) return reply.code(401).send({ error: "Log in first" });
  // The channel comes from the login, never from the URL: a user cannot ask for the channel of another one.
  void reply.sse.subscribe(`user:${user}`, {
    snapshot: () => [{ event: "unread", data: [...(unread.get(user)?.values() ?? [])] }],
  });
  return reply;
});

fastify.delete<{ Params: { id: string } }>("/notifications/:id", async (request, reply) => {
  const user = userOf(request);
  if (user === undefined) return reply.code(401).send({ error: "Log in first" });
  const { id } = request.params;
  if (unread.get(user)?.delete(id) === true) {
    await hub.publish(`user:${user}`, { event: "read", data: { id } });
  }
  return reply.code(204).send();
});

// For other parts of the application. Not for browsers: a real one asks for credentials here.
fastify.post<{ Params: { user: string }; Body: { text: string } }>(
  "/users/:user/notifications",
  {
    schema: {
      body: { type: "object", required: ["text"], properties: { text: { type: "string" } } },
    },
  },
  async (request, reply) => {
    const { user } = request.params;
    const notification = { id: randomUUID(), text: request.body.text };
    const ofUser = unread.get(user) ?? new Map<string, Notification>();
    unread.set(user, ofUser.set(notification.id, notification));
    await hub.publish(`user:${user}`, { event: "added", data: notification });
    return reply.code(201).send(notification);
  },
);

const port = Number(process.env["PORT"] ?? 3000);
await fastify.listen({ port, host: "127.0.0.1" });
console.log(`http://127.0.0.1:${port}`);

for (const signal of ["SIGINT", "SIGTERM"]) {
  process.once(signal, async () => {
    await hub.close();
    await fastify.close();
  });
}
