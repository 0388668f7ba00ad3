// The members of a room: a list that follows the streams of one process, with a grace period for reloads.
import { sse } from "@tidewire/express";
import express from "express";

const PAGE = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Who is here</title>
<h1>In the harbour</h1>
<ul id="members"></ul>
<script>
  const members = document.querySelector("#members");
  const find = (name) => [...members.children].find((item) => item.textContent === name);
  const join = (name) => {
    if (find(name) !== undefined) return;
    const item = document.createElement("li");
    item.textContent = name;
    members.append(item);
  };

  const name = new URLSearchParams(location.search).get("name") ?? "guest";
  const events = new EventSource("/rooms/harbour/members?name=" + encodeURIComponent(name));
  events.addEventListener("members", ({ data }) => {
    members.replaceChildren();
    JSON.parse(data).forEach(join);
  });
  events.addEventListener("joined", ({ data }) => join(JSON.parse(data).name));
  events.addEventListener("left", ({ data }) => find(JSON.parse(data).name)?.remove());
</script>
`;

/** How long a member without a stream still counts as present, in milliseconds: long enough for a reload. */
const GRACE_MS = Number(process.env["GRACE_MS"] ?? 5_000);

type Channels = {
  [room: `room:${string}`]: { joined: { name: string }; left: { name: string } };
};

interface Member {
  /** Number of open streams, usually one for each tab. */
  streams: number;
  /** Runs while `streams` is 0. */
  leaving: NodeJS.Timeout | undefined;
}

const app = express();
const events = sse<Channels>();
app.use(events);

/** Members of each room by name. */
const rooms = new Map<string, Map<string, Member>>();

function join(room: string, name: string): void {
  const members = rooms.get(room) ?? new Map<string, Member>();
  rooms.set(room, members);
  const member = members.get(name);
  if (member !== undefined) {
    clearTimeout(member.leaving);
    member.streams += 1;
    return;
  }
  members.set(name, { streams: 1, leaving: undefined });
  void events.hub.publish(`room:${room}`, { event: "joined", data: { name } });
}

function leave(room: string, name: string): void {
  const members = rooms.get(room);
  const member = members?.get(name);
  if (members === undefined || member === undefined) return;
  member.streams -= 1;
  if (member.streams > 0) return;
  member.leaving = setTimeout(() => {
    members.delete(name);
    if (members.size === 0) rooms.delete(room);
    void events.hub.publish(`room:${room}`, { event: "left", data: { name } });
  }, GRACE_MS).unref();
}

app.get("/", (_req, res) => void res.type("html").send(PAGE));

app.get("/rooms/:room/members", async (req, res) => {
  const { room } = req.params;
  const name = req.query["name"];
  if (typeof name !== "string" || name === "") {
    return void res.status(400).json({ error: "Expected a name" });
  }
  const snapshot = () => [{ event: "members", data: [...(rooms.get(room)?.keys() ?? [])] }];
  // False for a HEAD request, a refused client and a client that has left: they never join.
  if (!(await res.sse.subscribe(`room:${room}`, { snapshot }))) return;
  join(room, name);
  res.sse.onClose(() => leave(room, name));
});

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
