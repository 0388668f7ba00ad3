import { setTimeout as delay } from "node:timers/promises";
import { sse } from "@tidewire/express";
import express from "express";

const PAGE = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>A text, token by token</title>
<form id="ask">
  <label>Prompt <input id="prompt" value="the tide" required></label>
  <button>Write</button>
  <button type="button" id="stop">Stop</button>
</form>
<p id="text"></p>
<script>
  const text = document.querySelector("#text");
  let controller = new AbortController();

  document.querySelector("#stop").onclick = () => controller.abort();
  document.querySelector("#ask").onsubmit = async (event) => {
    event.preventDefault();
    controller.abort();
    controller = new AbortController();
    text.textContent = "";
    try {
      await write(document.querySelector("#prompt").value, controller.signal);
    } catch (error) {
      if (error.name !== "AbortError") text.textContent += " (" + error.message + ")";
    }
  };

  // EventSource can only GET, so the stream is read with fetch. This server ends lines with LF and its
  // tokens have one line each, which keeps the reader short; the showcase has a complete one.
  async function write(prompt, signal) {
    const response = await fetch("/text", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ prompt }),
      signal,
    });
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const blocks = (rest + value).split("\\n\\n");
      rest = blocks.pop();
      for (const block of blocks) {
        // Line by line: the first block also has a reconnection time.
        const lines = block.split("\\n");
        const data = lines.find((line) => line.startsWith("data: "));
        if (lines.includes("event: token")) text.append(data.slice(6));
      }
    }
  }
</script>
`;

/** Stands in the place of a language model, so that the example needs no key: it says the same of everything. */
async function* generate(
  prompt: string,
  { signal }: { signal: AbortSignal },
): AsyncGenerator<string> {
  const words = `You asked about ${prompt}. There is much to say about it, and a good part of it is
    said best in short words that come one after the other, as they are found, so that nobody has to
    wait for the last of them before reading the first. That is what a stream is for.`.split(/\s+/);
  let count = 0;
  try {
    for (const word of words) {
      // A model's client takes the signal in the same way: without it the wait would go on for nobody.
      await delay(80, undefined, { signal });
      yield `${word} `;
      count += 1;
    }
  } finally {
    if (signal.aborted)
      console.log(`The client left: stopped after ${count} of ${words.length} words.`);
  }
}

const app = express();
const events = sse();
app.use(events, express.json());

app.get("/", (_req, res) => void res.type("html").send(PAGE));

app.post("/text", async (req, res) => {
  const prompt = (req.body as { prompt?: unknown } | undefined)?.prompt;
  if (typeof prompt !== "string") return void res.status(400).json({ error: "Expected a prompt" });

  const tokens = generate(prompt, { signal: res.sse.signal });
  await res.sse.stream(tokens, (token) => ({ event: "token", data: token }));
  void res.sse.complete();
});

const port = Number(process.env["PORT"] ?? 3000);
const server = app.listen(port, (error) => {
  if (error) throw error;
  console.log(`http://localhost:${port}`);
});

process.once("SIGINT", async () => {
  await events.hub.close();
  // A browser also opens connections ahead of need: close() alone would wait for those.
  server.close().closeAllConnections();
});
