import { expect, it } from "vitest";
import { createRuns } from "../src/index.js";

async function* endless({ signal }: { readonly signal: AbortSignal }): AsyncGenerator<string> {
  yield "first";
  await new Promise((_, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason as Error));
  });
}

async function readToTheEnd(runs: ReturnType<typeof createRuns>, key: string): Promise<void> {
  for await (const item of runs.read(key)) if (item.type === "end") return;
}

it("counts runs, their followers, and their ends by outcome", async () => {
  const runs = createRuns({ onError: () => {} });
  const none = { done: 0, failed: 0, stopped: 0, lost: 0 };
  expect(runs.stats()).toEqual({ running: 0, followers: 0, started: 0, ends: none });
  await runs.start("done", () => ["one", "two"]);
  await readToTheEnd(runs, "done");
  await runs.start("failed", () => {
    throw new Error("a failure");
  });
  await readToTheEnd(runs, "failed");
  await runs.start("stopped", endless);
  await runs.start("closed", endless);
  const reader = runs.read("stopped");
  await reader.next();
  expect(runs.stats()).toMatchObject({ running: 2, followers: 1, started: 4 });
  await runs.stop("stopped");
  await reader.next();
  expect(runs.stats()).toMatchObject({ running: 1, followers: 0 });
  await runs.close();
  const ends = { done: 1, failed: 1, stopped: 1, lost: 1 };
  expect(runs.stats()).toEqual({ running: 0, followers: 0, started: 4, ends });
});
