// TanStack AI: an answer continues while its page is away, and any page of the thread can follow it again.
import { setTimeout as delay } from "node:timers/promises";
import { EventType, chatParamsFromRequestBody, normalizeToUIMessage } from "@tanstack/ai";
import type { StreamChunk } from "@tanstack/ai";
import { sse } from "@tidewire/express";
import { createRuns } from "@tidewire/runs";
import type { RunEnd } from "@tidewire/runs";
import express from "express";

type Params = Awaited<ReturnType<typeof chatParamsFromRequestBody>>;

const WORD_MS = Number(process.env["WORD_MS"] ?? 250);
const events = sse();
const runs = createRuns({ abandonMs: 120_000 });
/** Stands in for a database. */
const threads = new Map<string, Pick<Params, "messages" | "runId">>();

/** Stands in for `chat({ adapter, messages, threadId, runId, … })`. */
async function* answer(params: Params, signal: AbortSignal): AsyncGenerator<StreamChunk> {
  const { threadId, runId, messages } = params;
  threads.set(threadId, { messages, runId });
  yield { type: EventType.RUN_STARTED, threadId, runId };
  const messageId = `answer-${runId}`;
  yield { type: EventType.TEXT_MESSAGE_START, messageId, role: "assistant" };
  const content = "A tide rises and falls twice a day.";
  for (const delta of content.split(/(?<= )/)) {
    await delay(WORD_MS, undefined, { signal });
    yield { type: EventType.TEXT_MESSAGE_CONTENT, messageId, delta };
  }
  messages.push({ id: messageId, role: "assistant", content });
  yield { type: EventType.RUN_FINISHED, threadId, runId };
}

async function follow(runId: string, res: express.Response): Promise<void> {
  const end = ({ outcome }: RunEnd) =>
    outcome === "done"
      ? undefined
      : { data: { type: EventType.RUN_ERROR, message: `The answer is ${outcome}` } };
  // The client does not expect the 204 of a run that does not exist.
  if ((await runs.state(runId)) === undefined) res.sendStatus(404);
  else await runs.follow(runId, res.sse, { end });
}

const app = express();
app.use(events, express.json());

app.post("/chat", async (req, res) => {
  const params = await chatParamsFromRequestBody(req.body);
  // With a position, it is the same request again after the connection broke.
  if (res.sse.lastEventId === "") {
    await runs.start(params.runId, ({ signal }) => answer(params, signal), {
      map: (chunk) => ({ data: chunk }),
    });
  }
  await follow(params.runId, res);
});
app.get("/chat", async (req, res) => {
  const { threadId, runId } = req.query as { threadId?: string; runId?: string };
  if (runId !== undefined) return follow(runId, res);
  const thread = threads.get(threadId ?? "");
  if (thread === undefined) return void res.json({ messages: [] });
  const isActive = (await runs.state(thread.runId))?.state === "running";
  res.json({
    messages: thread.messages.map((message, index) =>
      normalizeToUIMessage(message, () => String(index)),
    ),
    activeRun: isActive ? { runId: thread.runId } : null,
  });
});
app.delete("/chat/:runId", async (req, res) => {
  await runs.stop(req.params.runId);
  res.sendStatus(204);
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
