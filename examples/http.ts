import { createServer } from "node:http";
import { createHub } from "@tidewire/core";

const PAGE = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Time, from node:http</title>
<p id="time">Waiting for the time</p>
<script>
  const time = document.querySelector("#time");
  new EventSource("/time").onmessage = ({ data }) => (time.textContent = data);
</script>
`;

const hub = createHub();

const server = createServer((request, response) => {
  if (request.url === "/") return void response.setHeader("Content-Type", "text/html").end(PAGE);
  if (request.url !== "/time") return void response.writeHead(404).end();

  const session = hub.createSession({ request, response });
  const tell = (): void => void session.send(new Date().toISOString());
  tell();
  const timer = setInterval(tell, 1_000);
  session.onClose(() => clearInterval(timer));
});

const port = Number(process.env["PORT"] ?? 3000);
server.listen(port, "127.0.0.1", () => console.log(`http://localhost:${port}`));

for (const signal of ["SIGINT", "SIGTERM"]) {
  process.once(signal, async () => {
    await hub.close();
    // Browsers open connections in advance. close() alone would wait for them.
    server.close().closeAllConnections();
  });
}
