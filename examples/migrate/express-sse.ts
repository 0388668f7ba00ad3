// News with Tidewire: the program of before/ ported from express-sse.
import { sse, sseHandler } from "@tidewire/express";
import express from "express";

const app = express();
const events = sse();
app.use(events, express.json());

let newest = { title: "High water" };

app.get("/news", sseHandler("news", { snapshot: () => [{ data: newest }] }));

app.post("/news", async (req, res) => {
  const { title } = req.body as { title: string };
  newest = { title };
  await events.hub.publish("news", { event: "headline", data: { title } });
  res.sendStatus(202);
});

const port = Number(process.env["PORT"] ?? 3000);
const server = app.listen(port, "127.0.0.1", () => console.log(`http://127.0.0.1:${port}`));

process.once("SIGTERM", async () => {
  await events.hub.close();
  server.close().closeAllConnections();
});
