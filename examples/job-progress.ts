import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { sse } from "@tidewire/express";
import express from "express";

const PAGE = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>A long job</title>
<button id="start">Start a job</button>
<progress id="progress" value="0"></progress>
<p id="state">Close this page while the job runs, and come back to its address.</p>
<script>
  const progress = document.querySelector("#progress");
  const state = document.querySelector("#state");

  document.querySelector("#start").onclick = async () => {
    const { id } = await (await fetch("/jobs", { method: "POST" })).json();
    location.hash = id;
  };

  let events;
  function watch() {
    events?.close();
    if (location.hash === "") return;
    events = new EventSource("/jobs/" + location.hash.slice(1));
    events.addEventListener("progress", ({ data }) => {
      const { done, of } = JSON.parse(data);
      progress.max = of;
      progress.value = done;
      state.textContent = done + " of " + of + " sheets charted";
    });
    // The server completes the stream after this: EventSource asks once more, is answered 204, and stops.
    events.addEventListener("done", ({ data }) => (state.textContent = JSON.parse(data).text));
  }
  window.onhashchange = watch;
  watch();
</script>
`;

/** Sheets of a job, and time for each in milliseconds. */
const SHEETS = 40;
const SHEET_MS = Number(process.env["SHEET_MS"] ?? 500);

interface Progress {
  readonly done: number;
  readonly of: number;
}

interface Job {
  progress: Progress;
  /** `undefined` if the program is stopped before the job is done. */
  readonly result: Promise<{ text: string } | undefined>;
}

type Channels = { [job: `job:${string}`]: { progress: Progress } };

const app = express();
const events = sse<Channels>();
app.use(events);

const jobs = new Map<string, Job>();
const shutdown = new AbortController();

async function run(id: string): Promise<{ text: string }> {
  for (let done = 1; done <= SHEETS; done++) {
    await delay(SHEET_MS, undefined, { signal: shutdown.signal });
    const progress = { done, of: SHEETS };
    (jobs.get(id) as Job).progress = progress;
    await events.hub.publish(`job:${id}`, { event: "progress", data: progress });
  }
  return { text: `All ${SHEETS} sheets are charted.` };
}

app.get("/", (_req, res) => void res.type("html").send(PAGE));

app.post("/jobs", (_req, res) => {
  const id = randomUUID();
  const result = run(id).catch((error: unknown) => {
    if (!shutdown.signal.aborted) throw error;
    return undefined;
  });
  jobs.set(id, { progress: { done: 0, of: SHEETS }, result });
  res.status(202).json({ id });
});

app.get("/jobs/:id", async (req, res) => {
  const job = jobs.get(req.params.id);
  // Also after a restart: an EventSource that is answered 404 does not ask again.
  if (job === undefined) return void res.status(404).json({ error: "There is no such job" });

  const snapshot = () => [{ event: "progress", data: job.progress }];
  await res.sse.subscribe(`job:${req.params.id}`, { snapshot });
  const result = await job.result;
  if (result === undefined) return;
  await res.sse.send({ event: "done", data: result });
  void res.sse.complete();
});

const port = Number(process.env["PORT"] ?? 3000);
const server = app.listen(port, (error) => {
  if (error) throw error;
  console.log(`http://localhost:${port}`);
});

process.once("SIGINT", async () => {
  shutdown.abort();
  await events.hub.close();
  // A browser also opens connections ahead of need: close() alone would wait for those.
  server.close().closeAllConnections();
});
