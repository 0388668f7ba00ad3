// An export as a run: its rows are produced once, and a download that breaks off continues where it was.
import { setTimeout as delay } from "node:timers/promises";
import { sse } from "@tidewire/express";
import { createRuns } from "@tidewire/runs";
import type { RunEnd } from "@tidewire/runs";
import express from "express";

const ROW_MS = Number(process.env["ROW_MS"] ?? 50);
const ROWS = Number(process.env["ROWS"] ?? 200);

const events = sse();
// Ten minutes to fetch the rest. 64 MiB of tape have room for about 100 000 rows of 600 bytes.
const runs = createRuns({ keepMs: 600_000, maxBytes: 67_108_864 });

/** Stands in for a query whose rows come one by one. */
async function* readTides(month: string, signal: AbortSignal) {
  for (let row = 1; row <= ROWS; row++) {
    await delay(ROW_MS, undefined, { signal });
    yield { row, month, metres: Number((3 + Math.sin(row / 2)).toFixed(2)) };
  }
}

const end = ({ outcome }: RunEnd) => ({ event: "end", data: { outcome } });

const app = express();
app.use(events);

// Two clients that want the same month get the same export.
app.post("/exports/:month", async (req, res) => {
  const { month } = req.params;
  const { started } = await runs.start(month, ({ signal }) => readTides(month, signal), {
    map: (row) => ({ data: row }),
  });
  res.status(202).json({ started });
});

// From the beginning, from the `Last-Event-ID` that the client sends, or after a number of rows.
app.get("/exports/:month", async (req, res) => {
  const { month } = req.params;
  const after = typeof req.query["after"] === "string" ? req.query["after"] : undefined;
  if ((await runs.state(month)) === undefined) res.sendStatus(404);
  else await runs.follow(month, res.sse, { end, after });
});

app.delete("/exports/:month", async (req, res) => {
  res.json({ stopped: await runs.stop(req.params.month) });
});

const port = Number(process.env["PORT"] ?? 3000);
const server = app.listen(port, "127.0.0.1", (error) => {
  if (error) throw error;
  console.log(`http://127.0.0.1:${port}`);
});

for (const signal of ["SIGINT", "SIGTERM"]) {
  process.once(signal, async () => {
    await runs.close();
    await events.hub.close();
    server.close().closeAllConnections();
  });
}
