// News with better-sse. docs/migrate shows it beside its port to Tidewire.
import { createChannel, createSession } from "better-sse";
import express from "express";

const app = express();
app.use(express.json());

const news = createChannel();

app.get("/news", async (req, res) => {
  const session = await createSession(req, res);
  session.push({ unread: 3 }, "welcome");
  news.register(session);
});

app.post("/news", (req, res) => {
  news.broadcast({ title: req.body.title }, "headline");
  res.sendStatus(202);
});

app.get("/rows", async (req, res) => {
  const session = await createSession(req, res);
  await session.iterate(readRows(), { eventName: "row" });
  session.push({}, "done");
});

/** Stands in for a query. */
async function* readRows() {
  for (let id = 1; id <= 3; id++) yield { id };
}

const port = Number(process.env.PORT ?? 3000);
app.listen(port, "127.0.0.1", () => console.log(`http://127.0.0.1:${port}`));
