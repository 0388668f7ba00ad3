// Alerts for items that run out: a loop in the server reads the events of the pages and continues after a restart.
import fs from "node:fs";
import { createHub, sse, sseHandler } from "@tidewire/express";
import { redisLog } from "@tidewire/redis";
import express from "express";

type Channels = { stock: { change: { item: string; count: number } } };

/** The content of a small database. */
interface Data {
  readonly stock: Record<string, number>;
  /** Items that run out. */
  alerts: string[];
  /** Where the loop continues: everything before it is in `alerts`. */
  position?: string | undefined;
}

const FEW = 5;
const file = process.env["DATA_FILE"];
const isThere = file !== undefined && fs.existsSync(file);
const data = (
  isThere ? JSON.parse(fs.readFileSync(file, "utf8")) : { stock: {}, alerts: [] }
) as Data;

function save(): void {
  if (file === undefined) return;
  fs.writeFileSync(`${file}.new`, JSON.stringify(data));
  fs.renameSync(`${file}.new`, file);
}

const redisUrl = process.env["REDIS_URL"];
const hub = createHub<Channels>(
  redisUrl === undefined ? {} : { log: redisLog({ url: redisUrl, key: "stock-alerts-recipe" }) },
);
const app = express();
app.use(sse({ hub }), express.json());

app.put("/stock/:item", async (req, res) => {
  const { item } = req.params;
  const { count } = req.body as { count: number };
  // The name goes into HTML.
  if (!/^[\w -]{1,40}$/.test(item) || !Number.isFinite(count)) return void res.sendStatus(400);
  // First the state, then the event.
  data.stock[item] = count;
  save();
  await hub.publish("stock", { event: "change", data: { item, count } });
  res.sendStatus(204);
});

function check(item: string, count: number): void {
  const others = data.alerts.filter((one) => one !== item);
  data.alerts = count < FEW ? [...others, item] : others;
}

const stopped = new AbortController();

async function alert(): Promise<void> {
  const reading = hub.read("stock", { after: data.position, signal: stopped.signal });
  for await (const event of reading) {
    // After a reset, changes may be missing: the state has all of them.
    if (event.type === "reset") for (const item of Object.entries(data.stock)) check(...item);
    else check(event.data.item, event.data.count);
    // Stored together with the alerts, so that a crash loses neither.
    data.position = reading.position;
    save();
  }
}

const alerting = alert();

app.get("/alerts", (_req, res) => void res.json(data.alerts));
app.get("/events", sseHandler("stock"));

app.get("/", async (_req, res) => {
  // First the position, then the state.
  const position = await hub.position();
  const rows = Object.entries(data.stock).map(([item, count]) => `<li>${item}: ${count}</li>`);
  res.type("html").send(`<!doctype html>
    <ul>${rows.join("")}</ul>
    <script>
      const source = new EventSource("/events?lastEventId=${position}");
      source.addEventListener("change", ({ data }) => {
        const { item, count } = JSON.parse(data);
        const rows = [...document.querySelectorAll("li")];
        const row = rows.find((one) => one.textContent.startsWith(item + ":"));
        const changed = row ?? document.querySelector("ul").appendChild(document.createElement("li"));
        changed.textContent = item + ": " + count;
      });
      source.addEventListener("sse-reset", () => location.reload());
    </script>`);
});

const port = Number(process.env["PORT"] ?? 3000);
const server = app.listen(port, "127.0.0.1", (error) => {
  if (error) throw error;
  console.log(`http://127.0.0.1:${port}`);
});

for (const signal of ["SIGINT", "SIGTERM"]) {
  process.once(signal, async () => {
    stopped.abort();
    await alerting;
    await hub.close();
    server.close().closeAllConnections();
  });
}
