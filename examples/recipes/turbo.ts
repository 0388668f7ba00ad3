// Turbo: the server sends turbo-stream elements, and Turbo applies them to the page.
import path from "node:path";
import { fileURLToPath } from "node:url";
import { sse } from "@tidewire/express";
import express from "express";

const PAGE = `<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width">
  <title>News, with Turbo</title>
  <script type="module" src="/turbo/turbo.es2017-esm.js"></script>
</head>
<body>
  <h1>News</h1>
  <ul id="news"></ul>
  <form method="post" action="/news">
    <input name="title" aria-label="Headline" required>
    <button>Publish</button>
  </form>
  <turbo-stream-source src="/news"></turbo-stream-source>
</body>
</html>
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

function toStream(action: "append" | "update", html: string): string {
  return `<turbo-stream action="${action}" target="news"><template>${html}</template></turbo-stream>`;
}

app.get("/", (_req, res) => void res.type("html").send(PAGE));

const turbo = path.dirname(fileURLToPath(import.meta.resolve("@hotwired/turbo")));
app.use("/turbo", express.static(turbo));

app.get("/news", (_req, res) => {
  // The whole list, for a new page and after each reset. Turbo reads messages without an event type.
  const snapshot = () => [toStream("update", headlines.map(toItem).join("\n"))];
  void res.sse.subscribe("news", { snapshot });
});

app.post("/news", (req, res) => {
  const { title } = req.body as { title: string };
  headlines.push(title);
  void events.hub.publish("news", toStream("append", toItem(title)));
  // The page stays as it is: its stream has the headline.
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
