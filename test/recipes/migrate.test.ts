import { afterEach, expect, test } from "vitest";
import { findPorts, startProgram } from "../browser/program.js";
import type { Program } from "../browser/program.js";
import { request } from "../client.js";

const LIBRARIES = ["better-sse", "express-sse", "fastify-sse", "fastify-sse-v2", "hand-written"];

let program: Program | undefined;
afterEach(() => program?.kill());

async function start(name: string): Promise<number> {
  const port = await findPorts();
  program = startProgram(name, port);
  await program.printed(`http://127.0.0.1:${port}`);
  return port;
}

/** Reads a headline, misses the next one, comes back with its last event ID, and reads a third. */
async function read(port: number): Promise<string> {
  const target = { port, protocol: "http1" } as const;
  const publish = async (title: string): Promise<void> => {
    const headers = { "content-type": "application/json" };
    const body = JSON.stringify({ title });
    const answer = await request(target, "/news", { method: "POST", headers, body });
    expect(answer.status).toBe(202);
  };
  const accept = "text/event-stream";
  const client = await request(target, "/news", { headers: { accept } });
  await client.until("data");
  await publish("one");
  const live = await client.until(headline("one"));
  client.cut();
  await client.ended;
  await publish("two");
  const id = [...live.matchAll(/^id: ?(.+)$/gm)].at(-1)?.[1] ?? "";
  const again = await request(target, "/news", { headers: { accept, "last-event-id": id } });
  await again.until(":");
  await publish("three");
  return again.until(headline("three"));
}

function headline(title: string): RegExp {
  return new RegExp(
    `^event: ?headline\n(?:.+\n)*data: ?\\{"title":"${title}"\\}\n(?:.+\n)*\n`,
    "m",
  );
}

test.each(LIBRARIES)(
  "%s: a client that comes back misses an event before, and not after",
  async (name) => {
    const before = await read(await start(`../migrate/before/${name}.mjs`));
    expect(before).not.toMatch(headline("two"));
    await program!.kill();

    const after = await read(await start(`migrate/${name}.js`));
    expect(after).toMatch(headline("two"));
    expect(after).not.toMatch(headline("one"));
    expect((await program!.terminate()).code).toBe(0);
  },
);

test.each(["better-sse", "fastify-sse", "fastify-sse-v2"])(
  "%s: rows are the same before and after",
  async (name) => {
    const rows: string[][] = [];
    for (const path of [`../migrate/before/${name}.mjs`, `migrate/${name}.js`]) {
      const port = await start(path);
      const client = await request({ port, protocol: "http1" }, "/rows", {
        headers: { accept: "text/event-stream" },
      });
      const text = await client.until(/data: ?\{"id":3\}\n\n/);
      rows.push(
        [...text.matchAll(/^event: ?row\n(?:id: ?.+\n)?(?:retry: .+\n)?data: ?(.+)\n\n/gm)].map(
          ([, data]) => data!,
        ),
      );
      await program!.kill();
    }
    expect(rows).toEqual([
      ['{"id":1}', '{"id":2}', '{"id":3}'],
      ['{"id":1}', '{"id":2}', '{"id":3}'],
    ]);
  },
);
