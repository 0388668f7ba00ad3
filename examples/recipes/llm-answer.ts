// The answer of a language model, token by token, over POST. The model stops when the client leaves.
import { setTimeout as delay } from "node:timers/promises";
import { sse } from "@tidewire/express";
import express from "express";

const PAGE = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>A text, token by token</title>
<form id="ask">
  <label>Prompt <input id="prompt" value="the tide" required></label>
  <button>Write</button>
  <button type="button" id="stop">Stop</button>
</form>
<p id="text" style="white-space: pre-wrap"></p>
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
      if (error.name !== "AbortError") text.append(" (" + error.message + ")");
    }
  };

  // EventSource sends only GET requests, so the page reads the stream with fetch.
  async function write(prompt, signal) {
    const response = await fetch("/text", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ prompt }),
      signal,
    });
    if (!response.ok) throw new Error("HTTP " + response.status);
    for await (const { event, data } of readEvents(response.body)) {
      if (event === "token") text.append(JSON.parse(data));
      if (event === "failed") throw new Error(JSON.parse(data));
      if (event === "done") return;
    }
    throw new Error("The answer broke off");
  }

  // A short reader for the blocks that this server writes. For other servers use a package: eventsource-parser.
  async function* readEvents(body) {
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const blocks = (rest + value).split("\\n\\n");
      rest = blocks.pop();
      for (const block of blocks) {
        const fields = { event: "message", data: [] };
        for (const line of block.split("\\n")) {
          if (line.startsWith("event: ")) fields.event = line.slice(7);
          if (line.startsWith("data: ")) fields.data.push(line.slice(6));
        }
        yield { event: fields.event, data: fields.data.join("\\n") };
      }
    }
  }
</script>
`;

/** Stands in for a model's client, so that the program needs no key. It gives the same answer to every prompt. */
async function* generate(
  prompt: string,
  { signal }: { signal: AbortSignal },
): AsyncGenerator<string> {
  const tokens = `You asked about ${prompt}.\n\n- A tide rises and falls twice a day.\n- The moon pulls the water.\n`;
  let count = 0;
  try {
    for (const token of tokens.split(/(?<=\s)(?=\S)/)) {
      // The client of a model takes the signal in the same way.
      await delay(80, undefined, { signal });
      if (prompt === "an error") throw new Error("The model is overloaded");
      yield token;
      count += 1;
    }
  } finally {
    if (signal.aborted) console.log(`The client left after ${count} tokens.`);
  }
}

const app = express();
// All data as JSON, also strings: a stream cannot carry a carriage return otherwise.
const events = sse({ verbatimStrings: false });
app.use(events, express.json());

app.get("/", (_req, res) => void res.type("html").send(PAGE));

app.post("/text", async (req, res) => {
  const prompt = (req.body as { prompt?: unknown } | undefined)?.prompt;
  if (typeof prompt !== "string") return void res.status(400).json({ error: "Expected a prompt" });

  const tokens = generate(prompt, { signal: res.sse.signal });
  const isComplete = await res.sse.stream(tokens, {
    map: (token) => ({ event: "token", data: token }),
    onSourceError: () => ({ event: "failed", data: "The answer failed" }),
  });
  if (isComplete) await res.sse.complete({ event: "done", data: {} });
});

const port = Number(process.env["PORT"] ?? 3000);
const server = app.listen(port, "127.0.0.1", (error) => {
  if (error) throw error;
  console.log(`http://127.0.0.1:${port}`);
});

for (const signal of ["SIGINT", "SIGTERM"]) {
  process.once(signal, async () => {
    await events.hub.close();
    // Browsers open connections in advance. close() alone would wait for them.
    server.close().closeAllConnections();
  });
}
