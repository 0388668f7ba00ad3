// useChat of the AI SDK: an answer continues while its page is away, and any page can follow it again.
import { setTimeout as delay } from "node:timers/promises";
import { sse } from "@tidewire/express";
import { createRuns } from "@tidewire/runs";
import type { RunEnd } from "@tidewire/runs";
import { createUIMessageStream } from "ai";
import type { UIMessage } from "ai";
import express from "express";

const events = sse();
const runs = createRuns({ abandonMs: 120_000 });
const WORD_MS = Number(process.env["WORD_MS"] ?? 250);
/** Stands in for a database. */
const chats = new Map<string, UIMessage[]>();

/** Stands in for `streamText({ …, abortSignal: signal }).toUIMessageStream({ originalMessages, … })`. */
function answer(chat: string, originalMessages: UIMessage[], signal: AbortSignal) {
  chats.set(chat, originalMessages);
  return createUIMessageStream({
    originalMessages,
    onFinish: ({ messages }) => void chats.set(chat, messages),
    async execute({ writer }) {
      writer.write({ type: "start" });
      writer.write({ type: "text-start", id: "text" });
      for (const word of "A tide rises and falls twice a day.".split(/(?<= )/)) {
        await delay(WORD_MS, undefined, { signal });
        writer.write({ type: "text-delta", id: "text", delta: word });
      }
      writer.write({ type: "text-end", id: "text" });
    },
  });
}

const BROKEN = { data: { type: "error", errorText: "The answer broke off" } };
const ENDS = { done: "[DONE]", stopped: { data: { type: "abort" } }, failed: BROKEN, lost: BROKEN };
const end = ({ outcome }: RunEnd) => ENDS[outcome];

const app = express();
app.use(events, express.json());

app.post("/api/chat", async (req, res) => {
  const { id, messages } = req.body as { id: string; messages: UIMessage[] };
  const { started } = await runs.start(id, ({ signal }) => answer(id, messages, signal), {
    map: (chunk) => ({ data: chunk }),
  });
  if (started) await runs.follow(id, res.sse, { end });
  else res.status(409).send("The last answer is still being written");
});
app.get("/api/chat/:id/stream", async (req, res) => {
  await runs.follow(req.params.id, res.sse, { end });
});
app.delete("/api/chat/:id/stream", async (req, res) => {
  await runs.stop(req.params.id);
  res.sendStatus(204);
});
app.get("/api/chat/:id", (req, res) => void res.json(chats.get(req.params.id) ?? []));

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
