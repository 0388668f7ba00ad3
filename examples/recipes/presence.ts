// The members of a room, on a page and as JSON.
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
  const members = new Set();
  const show = () =>
    document.querySelector("#members").replaceChildren(
      ...[...members].map((name) => {
        const item = document.createElement("li");
        item.textContent = name;
        return item;
      }),
    );
  const on = (type, change) =>
    events.addEventListener(type, ({ data }) => {
      change(JSON.parse(data).identities);
      show();
    });

  const name = new URLSearchParams(location.search).get("name") ?? "guest";
  const events = new EventSource("/rooms/harbour/stream?name=" + encodeURIComponent(name));
  on("presence", (names) => {
    members.clear();
    names.forEach((name) => members.add(name));
  });
  on("presence-join", (names) => names.forEach((name) => members.add(name)));
  on("presence-leave", (names) => names.forEach((name) => members.delete(name)));
</script>
`;

type Channels = { [room: `room:${string}`]: { message: { from: string; text: string } } };

const app = express();
const events = sse<Channels>({
  // Stands in for a login.
  identify: ({ query: { name } }) =>
    typeof name === "string" && name !== "" ? name.slice(0, 40) : undefined,
  presence: { lingerMs: Number(process.env["LINGER_MS"] ?? 10_000) },
});
app.use(events);

app.get("/", (_req, res) => void res.type("html").send(PAGE));

app.get("/rooms/:room/stream", (req, res) => {
  const room = `room:${req.params.room}` as const;
  void res.sse.subscribe([room, `~presence:${room}`]);
});

app.get("/rooms/:room/members", async (req, res) => {
  res.json(await events.hub.presence(`room:${req.params.room}`));
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
