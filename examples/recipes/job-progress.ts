// A job that outlives the page that started it: progress on a channel, the outcome as the last message.
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
<p id="state">Close this page while the job runs, then come back to its address.</p>
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
    for (const outcome of ["done", "failed"]) {
      events.addEventListener(outcome, ({ data }) => {
        events.close();
        state.textContent = JSON.parse(data).text;
      });
    }
    events.onerror = () => {
      // The server answered 404: it no longer knows the job.
      if (events.readyState === EventSource.CLOSED) state.textContent = "There is no such job.";
    };
  }
  window.onhashchange = watch;
  watch();
</script>
`;

const SHEETS = 40;
const SHEET_MS = Number(process.env["SHEET_MS"] ?? 500);
/** How long the outcome of a job can be read after its end, in milliseconds. */
const KEEP_MS = Number(process.env["KEEP_MS"] ?? 600_000);

interface Progress {
  readonly done: number;
  readonly of: number;
}

interface Outcome {
  readonly event: "done" | "failed";
  readonly data: { readonly text: string };
}

interface Job {
  progress: Progress;
  readonly outcome: Promise<Outcome>;
}

type Channels = { [job: `job:${string}`]: { progress: Progress } };

const app = express();
const events = sse<Channels>();
app.use(events);

const jobs = new Map<string, Job>();

/** Runs a job to its end, whether anyone watches or not. Never rejects: a failure is an outcome too. */
async function run(id: string): Promise<Outcome> {
  try {
    for (let done = 1; done <= SHEETS; done++) {
      await chartSheet(done);
      const progress = { done, of: SHEETS };
      const job = jobs.get(id);
      if (job !== undefined) job.progress = progress;
      void events.hub.publish(`job:${id}`, { event: "progress", data: progress });
    }
    return { event: "done", data: { text: `All ${SHEETS} sheets are charted.` } };
  } catch (error) {
    console.error(error);
    return { event: "failed", data: { text: "The job failed." } };
  } finally {
    // Otherwise the map would grow with each job.
    setTimeout(() => jobs.delete(id), KEEP_MS).unref();
  }
}

/** Stands in for work. */
async function chartSheet(_sheet: number): Promise<void> {
  await delay(SHEET_MS, undefined, { ref: false });
}

app.get("/", (_req, res) => void res.type("html").send(PAGE));

app.post("/jobs", (_req, res) => {
  const id = randomUUID();
  jobs.set(id, { progress: { done: 0, of: SHEETS }, outcome: run(id) });
  res.status(202).json({ id });
});

app.get("/jobs/:id", async (req, res) => {
  const job = jobs.get(req.params.id);
  // After a restart too. An EventSource does not reconnect after a 404.
  if (job === undefined) return void res.status(404).json({ error: "There is no such job" });

  const snapshot = () => [{ event: "progress", data: job.progress }];
  if (!(await res.sse.subscribe(`job:${req.params.id}`, { snapshot }))) return;
  await res.sse.complete(await job.outcome);
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
