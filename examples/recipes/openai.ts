// Responses as OpenAI's API has them: in the background, followed from any of their events, and cancelled.
import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { sse } from "@tidewire/express";
import { createRuns } from "@tidewire/runs";
import type { RunEnd, RunState } from "@tidewire/runs";
import express from "express";

const WORD_MS = Number(process.env["WORD_MS"] ?? 250);
// OpenAI's client asks for JSON, also where it reads a stream.
const events = sse({ checkAccept: false });
const runs = createRuns({ keepMs: 3_600_000 });
/** Stands in for a database. */
const texts = new Map<string, string>();

const STATUS = {
  running: "in_progress",
  done: "completed",
  stopped: "cancelled",
  failed: "failed",
  lost: "failed",
};

function toResponse(id: string, state: RunState["state"]) {
  const content = [{ type: "output_text", text: texts.get(id) ?? "", annotations: [] }];
  const output = [{ id: "msg_1", type: "message", role: "assistant", content }];
  return { id, object: "response", status: STATUS[state], output };
}

/** Stands in for a model. */
async function* answer(id: string, signal: AbortSignal) {
  yield { type: "response.created", response: toResponse(id, "running") };
  for (const delta of "A tide rises and falls twice a day.".split(/(?<= )/)) {
    await delay(WORD_MS, undefined, { signal });
    texts.set(id, (texts.get(id) ?? "") + delta);
    yield { type: "response.output_text.delta", item_id: "msg_1", output_index: 0, delta };
  }
  yield { type: "response.completed", response: toResponse(id, "done") };
}

const BROKEN = { data: { error: { message: "The answer broke off" } } };
const end = ({ outcome }: RunEnd) => (STATUS[outcome] === "failed" ? BROKEN : undefined);

const app = express();
app.use(events, express.json());

app.post("/v1/responses", async (req, res) => {
  const { background, stream } = req.body as { background?: boolean; stream?: boolean };
  const id = `resp_${randomUUID()}`;
  let next = 0;
  await runs.start(id, ({ signal }) => answer(id, signal), {
    map: (event) => ({ event: event.type, data: { ...event, sequence_number: next++ } }),
    // In the foreground, a response that no client reads any more is cancelled.
    abandonMs: background === true ? false : 1_000,
  });
  if (stream === true) await runs.follow(id, res.sse, { end });
  else res.json(toResponse(id, "running"));
});
app.get("/v1/responses/:id", async (req, res) => {
  const { id } = req.params;
  const run = await runs.state(id);
  // OpenAI counts events from 0, a run counts its items from 1.
  const after = Number(req.query["starting_after"] ?? -1) + 1;
  if (run === undefined) res.sendStatus(404);
  else if (req.query["stream"] === "true") await runs.follow(id, res.sse, { after, end });
  else res.json(toResponse(id, run.state));
});
app.post("/v1/responses/:id/cancel", async (req, res) => {
  const isStopped = await runs.stop(req.params.id);
  if (isStopped) res.json(toResponse(req.params.id, "stopped"));
  else res.sendStatus(409);
});

const port = Number(process.env["PORT"] ?? 3000);
const server = app.listen(port, "127.0.0.1", (error) => {
  if (error) throw error;
  console.log(`http://127.0.0.1:${port}`);
});

for (const signal of ["SIGINT", "SIGTERM"]) {
  process.once(signal, async () => {
    await runs.close({ drainMs: 10_000 });
    await events.hub.close();
    server.close().closeAllConnections();
  });
}
