// Login, roles and revocation: a user who loses a right loses its events at once, in every tab and on every node.
import { randomBytes } from "node:crypto";
import { sse } from "@tidewire/express";
import express from "express";
import type { Request } from "express";

const PAGE = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Harbour office</title>
<form id="login" hidden>
  <label>User <input name="user" value="ada"></label>
  <button>Log in</button>
</form>
<section id="desk" hidden>
  <p>You are <b id="user"></b>, <b id="role"></b>. <button id="logout">Log out</button></p>
  <ul id="list"></ul>
</section>
<script>
  const find = (id) => document.getElementById(id);
  let events;

  const open = () => {
    events = new EventSource("/events");
    events.addEventListener("you", ({ data }) => {
      const { user, role } = JSON.parse(data);
      find("user").textContent = user;
      find("role").textContent = role;
      show(true);
    });
    for (const type of ["notice", "draft"])
      events.addEventListener(type, ({ data }) => {
        const item = document.createElement("li");
        item.textContent = type + ": " + JSON.parse(data).text;
        find("list").append(item);
      });
    // 401 and 204 are final: the user has no login, or no longer one.
    events.onerror = ({ target }) => target.readyState === EventSource.CLOSED && show(false);
  };
  const show = (isIn) => {
    find("desk").hidden = !isIn;
    find("login").hidden = isIn;
  };

  find("login").onsubmit = async (event) => {
    event.preventDefault();
    find("list").replaceChildren();
    await fetch("/login", { method: "POST", body: new URLSearchParams(new FormData(event.target)) });
    open();
  };
  find("logout").onclick = async () => {
    events.close();
    await fetch("/logout", { method: "POST" });
    show(false);
  };
  open();
</script>
`;

type Role = "editor" | "reader";

interface Channels {
  /** For everyone with a login. */
  notices: { notice: { text: string } };
  /** For editors. */
  drafts: { draft: { text: string } };
}

interface Login {
  readonly user: string;
  readonly expiresAt: number;
}

const LOGIN_MS = 8 * 3_600_000;

/** Stands in for a table of users. */
const roles = new Map<string, Role>([
  ["ada", "editor"],
  ["ben", "reader"],
]);
/** Stands in for a table of logins, by the value of their cookie. */
const logins = new Map<string, Login>();

const app = express();
const events = sse<Channels>({
  identify: (req) => {
    const login = loginOf(req);
    return login && { id: login.user, expiresAt: login.expiresAt };
  },
  authorize: (channel, { request, identity }) =>
    loginOf(request) !== undefined && channelsOf(identity).includes(channel),
  // Ends the streams of a login that is over, also if no disconnect reaches this node.
  revalidate: { everyMs: 60_000, check: ({ request }) => loginOf(request) !== undefined },
});
app.use(events);
app.use(express.urlencoded({ extended: false }), express.json());

app.get("/", (_req, res) => void res.type("html").send(PAGE));

app.post("/login", (req, res) => {
  const { user } = req.body as { user?: unknown };
  // A real one checks a password, or comes from an identity provider.
  if (typeof user !== "string" || !roles.has(user)) return void res.sendStatus(401);
  const id = randomBytes(32).toString("base64url");
  logins.set(id, { user, expiresAt: Date.now() + LOGIN_MS });
  res.cookie("login", id, { httpOnly: true, sameSite: "strict", maxAge: LOGIN_MS });
  res.sendStatus(204);
});

app.get("/events", async (_req, res) => {
  const { identity } = res.sse;
  // The role decides which channels the stream has. The client cannot name any.
  const channels = channelsOf(identity);
  if (identity === undefined || channels.length === 0) return void res.sendStatus(401);
  if (await res.sse.subscribe(channels)) {
    await res.sse.send({ event: "you", data: { user: identity, role: roles.get(identity) } });
  }
});

/** Ends one login. Other browsers of the user reconnect, and go on where they were. */
app.post("/logout", async (req, res) => {
  const login = loginOf(req);
  logins.delete(cookieOf(req));
  if (login !== undefined) await events.hub.disconnect({ identity: login.user });
  res.clearCookie("login").sendStatus(204);
});

// For administrators. Not for browsers: a real one asks for credentials here.

/** Changes a role. Streams of the user reconnect, with the channels of the new role. */
app.put("/users/:user/role", async (req, res) => {
  const { role } = req.body as { role?: unknown };
  if (role !== "editor" && role !== "reader") return void res.sendStatus(400);
  roles.set(req.params.user, role);
  await events.hub.disconnect({ identity: req.params.user });
  res.sendStatus(204);
});

/** Ends all logins of a user, on all devices. Their streams end, and do not come back. */
app.delete("/users/:user/logins", async (req, res) => {
  for (const [id, { user }] of logins) if (user === req.params.user) logins.delete(id);
  await events.hub.disconnect({ identity: req.params.user, final: true });
  res.sendStatus(204);
});

app.post("/notices", async (req, res) => {
  const { id } = await events.hub.publish("notices", { event: "notice", data: textOf(req) });
  res.status(201).json({ id });
});

app.post("/drafts", async (req, res) => {
  const { id } = await events.hub.publish("drafts", { event: "draft", data: textOf(req) });
  res.status(201).json({ id });
});

/** Stands in for a middleware that reads the login from a store, and leaves it on the request. */
function loginOf(req: Request): Login | undefined {
  const login = logins.get(cookieOf(req));
  return login !== undefined && login.expiresAt > Date.now() ? login : undefined;
}

function cookieOf(req: Request): string {
  return /(?:^|; )login=([\w-]+)/.exec(req.get("cookie") ?? "")?.[1] ?? "";
}

function channelsOf(user: string | undefined): (keyof Channels)[] {
  const role = user === undefined ? undefined : roles.get(user);
  if (role === undefined) return [];
  return role === "editor" ? ["notices", "drafts"] : ["notices"];
}

function textOf(req: Request): { text: string } {
  return { text: String((req.body as { text?: unknown }).text) };
}

const port = Number(process.env["PORT"] ?? 3000);
const server = app.listen(port, "127.0.0.1", (error) => {
  if (error) throw error;
  console.log(`http://127.0.0.1:${port}`);
});

for (const signal of ["SIGINT", "SIGTERM"]) {
  process.once(signal, async () => {
    await events.hub.close();
    // Browsers open connections in advance. close() alone would wait for them.
    server.close().closeAllConnections();
  });
}
