import { sse } from "@tidewire/express";
import express from "express";

const PAGE = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Time, from Express</title>
<p id="time">Waiting for the time</p>
<script>
  const time = document.querySelector("#time");
  new EventSource("/time").onmessage = ({ data }) => (time.textContent = data);
</script>
`;

const app = express();
const events = sse();
app.use(events);

app.get("/", (_req, res) => void res.type("html").send(PAGE));

app.get("/time", (_req, res) => {
  const tell = (): void => void res.sse.send(new Date().toISOString());
  tell();
  const timer = setInterval(tell, 1_000);
  res.sse.onClose(() => clearInterval(timer));
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
