import { sse } from "@tidewire/express";
import express from "express";

const PAGE = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Chat</title>
<p id="rooms"><a href="/rooms/harbour">harbour</a> <a href="/rooms/lighthouse">lighthouse</a></p>
<ol id="messages"></ol>
<form id="say">
  <input id="name" aria-label="Name" value="Ada" size="8" required>
  <input id="text" aria-label="Message" maxlength="500" autocomplete="off" required autofocus>
  <button>Say</button>
</form>
<script>
  const events = new EventSource(location.pathname + "/messages");
  events.addEventListener("said", ({ data }) => {
    const { name, text } = JSON.parse(data);
    const item = document.createElement("li");
    item.textContent = name + ": " + text;
    document.querySelector("#messages").append(item);
  });
  events.addEventListener("sse-reset", () => location.reload());

  document.querySelector("#say").onsubmit = (event) => {
    event.preventDefault();
    const [name, text] = event.target.querySelectorAll("input");
    fetch(location.pathname + "/messages", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ name: name.value, text: text.value }),
    });
    text.value = "";
  };
</script>
`;

type Channels = { [room: `room:${string}`]: { said: { name: string; text: string } } };

const app = express();
const events = sse<Channels>();
app.use(events, express.json());

app.get("/", (_req, res) => res.redirect("/rooms/harbour"));
app.get("/rooms/:room", (_req, res) => void res.type("html").send(PAGE));

app.get("/rooms/:room/messages", (req, res) => {
  // A new client gets the last twenty messages, a client that reconnects those that it has missed.
  void res.sse.subscribe(`room:${req.params.room}`, { latest: 20 });
});

app.post("/rooms/:room/messages", async (req, res) => {
  const { name, text } = (req.body ?? {}) as { name?: unknown; text?: unknown };
  if (typeof name !== "string" || typeof text !== "string" || text === "") {
    return void res.status(400).json({ error: "Expected a name and a text" });
  }
  const message = { event: "said", data: { name, text } } as const;
  res.status(202).json(await events.hub.publish(`room:${req.params.room}`, message));
});

const port = Number(process.env["PORT"] ?? 3000);
const server = app.listen(port, "127.0.0.1", (error) => {
  if (error) throw error;
  console.log(`http://localhost:${port}`);
});

for (const signal of ["SIGINT", "SIGTERM"]) {
  process.once(signal, async () => {
    await events.hub.close();
    // Browsers open connections in advance. close() alone would wait for them.
    server.close().closeAllConnections();
  });
}
