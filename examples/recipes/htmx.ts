// htmx: the server sends HTML, and htmx swaps it into the page.
import path from "node:path";
import { fileURLToPath } from "node:url";
import { sse } from "@tidewire/express";
import express from "express";

// The timer opens the stream again if the first attempt failed. It does nothing while a stream is open.
const PAGE = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>News, with htmx</title>
<script src="/htmx/htmx.min.js"></script>
<script src="/htmx/ext/hx-sse.min.js"></script>
<h1>News</h1>
<ul id="news"
  hx-sse:connect="/news" hx-trigger="load, every 5s"
  hx-swap="beforeend"></ul>
<form hx-post="/news" hx-swap="none">
  <input name="title" aria-label="Headline" required>
  <button>Publish</button>
</form>
`;

type Channels = { news: { message: string } };

const app = express();
const events = sse<Channels>();
app.use(events, express.urlencoded());

const headlines: string[] = [];

/** One headline as HTML. Text from users must be escaped before it goes into a page. */
function toItem(title: string): string {
  const entities: Record<string, string> = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    '"': "&quot;",
  };
  return `<li>${title.replace(/[&<>"]/g, (character) => entities[character] ?? character)}</li>`;
}

app.get("/", (_req, res) => void res.type("html").send(PAGE));

const htmx = path.dirname(fileURLToPath(import.meta.resolve("htmx.org/dist/htmx.min.js")));
app.use("/htmx", express.static(htmx));

app.get("/news", (_req, res) => {
  // Swapped by its id: the whole list, for a new page and after each reset.
  const snapshot = () => {
    const items = headlines.map(toItem).join("\n");
    return [`<div id="news" hx-swap-oob="innerHTML">${items}</div>`];
  };
  void res.sse.subscribe("news", { snapshot });
});

app.post("/news", (req, res) => {
  const { title } = req.body as { title: string };
  headlines.push(title);
  // Without an event type: htmx swaps only such messages.
  void events.hub.publish("news", toItem(title));
  res.sendStatus(204);
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
