// News with a hand-written route. docs/migrate shows it beside its port to Tidewire.
import express from "express";

const app = express();
app.use(express.json());

const clients = new Set();

app.get("/news", (req, res) => {
  res.writeHead(200, {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-cache",
    Connection: "keep-alive",
  });
  res.write(`event: welcome\ndata: ${JSON.stringify({ unread: 3 })}\n\n`);
  clients.add(res);
  const heartbeat = setInterval(() => res.write(":\n\n"), 15_000);
  res.on("close", () => {
    clearInterval(heartbeat);
    clients.delete(res);
  });
});

app.post("/news", (req, res) => {
  const event = `event: headline\ndata: ${JSON.stringify({ title: req.body.title })}\n\n`;
  for (const client of clients) client.write(event);
  res.sendStatus(202);
});

const port = Number(process.env.PORT ?? 3000);
app.listen(port, "127.0.0.1", () => console.log(`http://127.0.0.1:${port}`));
