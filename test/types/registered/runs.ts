import type { Session } from "@tidewire/core";
import { sse } from "@tidewire/express";
import { ssePlugin } from "@tidewire/fastify";
import { createRuns } from "@tidewire/runs";
import type { RunMessage, Runs } from "@tidewire/runs";
import express from "express";
import Fastify from "fastify";

const runs: Runs = createRuns({ abandonMs: 60_000 });

/** Sources and maps that must compile, and some that must not. */
export async function start(chunks: ReadableStream<Uint8Array>): Promise<void> {
  await runs.start("a", ({ signal }) => fetch("http://localhost", { signal }).then(bodyOf), {
    map: (text) => ({ event: "token", data: text.trim() }),
  });
  await runs.start(
    "a",
    () => [1, 2],
    (n) => (n > 1 ? { data: { n: n.toFixed() } } : undefined),
  );
  await runs.start("a", async function* ({ signal, key, runId }) {
    if (!signal.aborted) yield `${key}${runId}`;
  });
  await runs.start(
    "a",
    () => chunks,
    (text) => text.toUpperCase(),
  );
  const messages: RunMessage[] = [{ data: 1, event: "a", retry: 5 }];
  const { started }: { started: boolean } = await runs.start("a", () => messages);
  if (started) await runs.close({ drainMs: 5 });

  // @ts-expect-error -- The source is a function.
  await runs.start("a", ["text"]);
  const numbers = (): number[] => [1];
  // @ts-expect-error -- Numbers have no length.
  await runs.start("a", numbers, (n) => ({ data: n.length }));
  const texts = (): string[] => ["a"];
  // @ts-expect-error -- Its id is its position.
  await runs.start("a", texts, () => ({ id: "1", data: "" }));
  // @ts-expect-error -- There is no such option.
  await runs.start("a", () => ["a"], { drainMs: 1 });
}

function bodyOf({ body }: Response): ReadableStream<Uint8Array> {
  if (body === null) throw new Error("No body");
  return body;
}

/** Every session can follow, whatever channels its hub has. */
export async function follow(session: Session): Promise<void> {
  const isOver: boolean = await runs.follow("a", session);
  if (isOver) return;
  await runs.follow("a", session, { after: 5, end: () => "[DONE]" });
  await runs.follow("a", session, {
    end: ({ outcome, error }) => ({ event: outcome, data: { hasError: error !== undefined } }),
  });
  // @ts-expect-error -- The id of the last message is reserved.
  await runs.follow("a", session, { end: () => ({ id: "1", data: "" }) });
  // @ts-expect-error -- A response is not a session.
  await runs.follow("a", new Response());
}

/** Each kind of step has its type. */
export async function read(): Promise<void> {
  for await (const step of runs.read("a", { after: "a.b.1" })) {
    if (step.type === "item") console.error(step.id, step.data.trim());
    else if (step.outcome === "failed") console.error(step.error);
    // @ts-expect-error -- An end has no data.
    else console.error(step.data);
  }
}

const app = express();
app.use(sse());
app.get("/:id", (req, res) => runs.follow(req.params.id, res.sse));

const fastify = Fastify();
await fastify.register(ssePlugin);
fastify.get<{ Params: { id: string } }>("/:id", ({ params }, reply) =>
  runs.follow(params.id, reply.sse),
);
