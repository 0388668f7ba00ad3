// News with Tidewire: the program of before/ ported from better-sse.
import { sse } from "@tidewire/express";
import express from "express";

const app = express();
const events = sse();
app.use(events, express.json());

app.get("/news", async (_req, res) => {
  if (!(await res.sse.subscribe("news"))) return;
  void res.sse.send({ event: "welcome", data: { unread: 3 } });
});

app.post("/news", async (req, res) => {
  const { title } = req.body as { title: string };
  await events.hub.publish("news", { event: "headline", data: { title } });
  res.sendStatus(202);
});

app.get("/rows", async (_req, res) => {
  const isSent = await res.sse.stream(readRows(), (row) => ({ event: "row", data: row }));
  if (isSent) await res.sse.complete({ event: "done", data: {} });
});

/** Stands in for a query. */
async function* readRows(): AsyncGenerator<{ id: number }> {
  for (let id = 1; id <= 3; id++) yield { id };
}

const port = Number(process.env["PORT"] ?? 3000);
const server = app.listen(port, "127.0.0.1", () => console.log(`http://127.0.0.1:${port}`));

process.once("SIGTERM", async () => {
  await events.hub.close();
  server.close().closeAllConnections();
});
