import { createHub, ssePlugin } from "@tidewire/fastify";
import Fastify from "fastify";

const PAGE = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Prices</title>
<table><tbody id="prices"></tbody></table>
<script>
  const rows = document.querySelector("#prices");
  const show = ({ symbol, price }) => {
    let row = rows.querySelector("[id=" + symbol + "]");
    if (row === null) {
      row = rows.insertRow();
      row.id = symbol;
      row.insertCell().textContent = symbol;
      row.insertCell();
    }
    row.cells[1].textContent = price.toFixed(2);
  };
  const events = new EventSource("/prices");
  events.addEventListener("all", ({ data }) => JSON.parse(data).forEach(show));
  events.addEventListener("change", ({ data }) => show(JSON.parse(data)));
</script>
`;

interface Quote {
  readonly symbol: string;
  readonly price: number;
}

type Channels = { prices: { change: Quote } };

const hub = createHub<Channels>();
const prices = new Map([
  ["KELP", 12.4],
  ["SALT", 3.95],
  ["ROPE", 48.1],
  ["TAR", 27.75],
]);

function quotes(): Quote[] {
  return [...prices].map(([symbol, price]) => ({ symbol, price }));
}

// State and publish change in one turn, so a snapshot is from before both or after both.
const timer = setInterval(() => {
  const { symbol, price } = quotes()[Math.floor(Math.random() * prices.size)] as Quote;
  const change = { symbol, price: Math.max(0.01, price * (0.99 + Math.random() * 0.02)) };
  prices.set(symbol, change.price);
  void hub.publish("prices", { event: "change", data: change });
}, 250);

// Browsers open connections in advance. Without this option close() would wait for them.
const fastify = Fastify({ return503OnClosing: false, forceCloseConnections: true });
await fastify.register(ssePlugin, { hub });

fastify.get("/", (_request, reply) => reply.type("text/html").send(PAGE));

fastify.get("/prices", (_request, reply) => {
  // All prices first, then each change. A client that reconnects gets only the changes, or all prices if that is impossible.
  void reply.sse.subscribe("prices", { snapshot: () => [{ event: "all", data: quotes() }] });
  return reply;
});

const port = Number(process.env["PORT"] ?? 3000);
await fastify.listen({ port, host: "127.0.0.1" });
console.log(`http://localhost:${port}`);

for (const signal of ["SIGINT", "SIGTERM"]) {
  process.once(signal, () => {
    clearInterval(timer);
    return fastify.close();
  });
}
