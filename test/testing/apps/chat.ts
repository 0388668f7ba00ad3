/** A chat with a model, as in docs/guide/runs.md: the answer survives its reader. */
import { setTimeout } from "node:timers/promises";
import { sse } from "@tidewire/express";
import type { Hub } from "@tidewire/express";
import { createRuns } from "@tidewire/runs";
import type { FollowOptions, Runs } from "@tidewire/runs";
import express from "express";
import type { Express } from "express";

const end: FollowOptions["end"] = ({ outcome }) => ({ event: "end", data: { outcome } });

export function createChat(): { app: Express; hub: Hub; runs: Runs } {
  const app = express();
  const events = sse();
  app.use(express.json(), events);
  const runs = createRuns({ abandonMs: 120_000 });
  app.post("/chat/:id", async (req, res) => {
    const { prompt } = req.body as { prompt: string };
    const { started } = await runs.start(req.params.id, ({ signal }) => answer(prompt, signal), {
      map: (token) => ({ event: "token", data: { token } }),
    });
    if (!started) return void res.status(409).json({ error: "An answer is being written" });
    await runs.follow(req.params.id, res.sse, { end });
  });
  app.get(
    "/chat/:id",
    async (req, res) => void (await runs.follow(req.params.id, res.sse, { end })),
  );
  app.delete("/chat/:id", async (req, res) => {
    res.json({ stopped: await runs.stop(req.params.id) });
  });
  return { app, hub: events.hub, runs };
}

async function* answer(prompt: string, signal: AbortSignal): AsyncGenerator<string> {
  for (const word of `You asked: ${prompt}`.split(" ")) {
    await setTimeout(20, undefined, { signal });
    yield `${word} `;
  }
}
