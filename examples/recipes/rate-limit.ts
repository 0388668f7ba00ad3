// Limits new streams per minute and user. A refused EventSource waits and reconnects by itself.
import { sse } from "@tidewire/express";
import express from "express";
import type { Request } from "express";
import { rateLimit } from "express-rate-limit";
import type { AugmentedRequest } from "express-rate-limit";

const PAGE = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>A rate limit</title>
<p id="state">Connecting</p>
<ul id="news"></ul>
<script>
  const state = document.querySelector("#state");
  const events = new EventSource("/news");
  events.addEventListener("headline", ({ data }) => {
    const item = document.createElement("li");
    item.textContent = JSON.parse(data).title;
    document.querySelector("#news").append(item);
  });
  // The first event of every stream that is not refused, after the latest headlines.
  events.addEventListener("sse-cursor", () => {
    state.textContent = "Connected. Reload this page until the limit is reached.";
  });
  events.addEventListener("sse-reset", () => location.reload());
  events.addEventListener("busy", ({ data }) => {
    state.textContent = "Too many streams. This page tries again in " + JSON.parse(data).seconds + " s.";
  });
</script>
`;

const WINDOW_MS = Number(process.env["WINDOW_MS"] ?? 60_000);

type Channels = { news: { headline: { title: string } } };

const app = express();
const events = sse<Channels>();
app.use(events, express.json());

/** Stands in for a login. */
function userOf(req: Request): string {
  return /\buser=(\w+)/.exec(req.headers.cookie ?? "")?.[1] ?? "guest";
}

const limitStreams = rateLimit({
  windowMs: WINDOW_MS,
  limit: 5,
  standardHeaders: "draft-8",
  legacyHeaders: false,
  keyGenerator: userOf,
  handler(req, res) {
    const resetTime = (req as AugmentedRequest)["rateLimit"]?.resetTime;
    const waitMs = Math.max(1_000, (resetTime?.getTime() ?? Date.now() + WINDOW_MS) - Date.now());
    const seconds = Math.ceil(waitMs / 1_000);
    if (!res.sse.wantsEventStream) {
      return void res.status(429).set("Retry-After", String(seconds)).json({ error: "Too many" });
    }
    // After a 429 an EventSource gives up for good. This stream only says how long to wait, and ends.
    void res.sse.send({ event: "busy", retry: waitMs, data: { seconds } });
    res.sse.close();
  },
});

app.get("/", (_req, res) => void res.type("html").send(PAGE));

app.get("/news", limitStreams, (_req, res) => {
  // For a page that was refused before its first stream: it has no position to continue from.
  void res.sse.subscribe("news", { latest: 20 });
});

app.post("/news", async (req, res) => {
  const { title } = req.body as { title: string };
  res.status(202).json(await events.hub.publish("news", { event: "headline", data: { title } }));
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
