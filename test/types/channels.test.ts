import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createHub } from "@tidewire/core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { publishTyped, publishUntyped } from "./accepted.js";
import type { Channels } from "./accepted.js";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const COMPILER = join(ROOT, "node_modules/.bin/tsc");

/** Runs the compiler as a user would. */
function compile(project: string): { status: number | null; output: string } {
  const { status, stdout, stderr, error } = spawnSync(
    COMPILER,
    ["--noEmit", "--pretty", "false", "--project", project],
    { cwd: ROOT, encoding: "utf8" },
  );
  if (error !== undefined) throw error;
  return { status, output: `${stdout}${stderr}` };
}

describe("@tidewire/fastify/bare", () => {
  it("works together with another plugin that declares `reply.sse`, and with two hubs", () => {
    expect(compile("test/types/fastify-bare/tsconfig.json")).toEqual({ status: 0, output: "" });
  });
});

describe("@tidewire/fastify", () => {
  it("compiles on every kind of Fastify server: HTTP/1, HTTPS, HTTP/2, and the application's own", () => {
    expect(compile("test/types/fastify-servers/tsconfig.json")).toEqual({ status: 0, output: "" });
  });
});

describe("@tidewire/client", () => {
  it("types events by the channels of the server, and needs no types of a platform", () => {
    expect(compile("test/types/client/tsconfig.json")).toEqual({ status: 0, output: "" });
  });

  it.each(["dom", "node"])("takes what the platform has: %s", (platform) => {
    const project = `test/types/client-platforms/tsconfig.${platform}.json`;
    expect(compile(project)).toEqual({ status: 0, output: "" });
  });
});

describe("A map of channels", () => {
  it("accepts all valid calls, and rejects those marked with `@ts-expect-error`", () => {
    expect(compile("test/types/tsconfig.json")).toEqual({ status: 0, output: "" });
  });

  it("types every session, hub and publisher of a program if registered, whatever the framework", () => {
    expect(compile("test/types/registered/tsconfig.json")).toEqual({ status: 0, output: "" });
  });

  it("follows the declared property if two hubs have sessions on one response", () => {
    expect(compile("test/types/bare/tsconfig.json")).toEqual({ status: 0, output: "" });
  });

  it("does not change behaviour at run time: calls that compile publish", async () => {
    const published = await publishTyped(createHub<Channels>(), "1");
    expect(published).toHaveLength(16);
    expect(published.at(-1)).toBe("news 0");
  });

  it("is not needed: without one everything is accepted", async () => {
    await expect(publishUntyped(createHub(), "x")).resolves.toBe(5);
  });
});

/** An expression that must not compile, and the expected content of the message or of the place it points to. */
interface WrongProgram {
  readonly fault: string;
  readonly code: string;
  /** Names that the message must contain. */
  readonly names: readonly string[];
  /** Text at the place that the message points to. */
  readonly at: string;
}

/** With `createHub<Channels>()`. */
const PROGRAMS: readonly WrongProgram[] = [
  {
    fault: "an unknown channel",
    code: 'hub.publish("sport", { event: "headline", data: { title: "a" } });',
    names: ['"sport"', '"news"', "`user:${string}`"],
    at: '"sport"',
  },
  {
    fault: "an unknown channel, asked for by name",
    code: 'hub.channel("sport");',
    names: ['"sport"', '"news"'],
    at: '"sport"',
  },
  {
    fault: "a channel that fits no template",
    code: 'hub.publish("user1", { event: "mail", data: { from: "a" } });',
    names: ['"user1"', "`user:${string}`"],
    at: '"user1"',
  },
  {
    fault: "an event that is misspelt",
    code: 'hub.publish("news", { event: "headlines", data: { title: "a" } });',
    names: ['"headlines"', `Did you mean '"headline"'?`],
    at: "event:",
  },
  {
    fault: "an event of another channel",
    code: 'hub.publish("prices", { event: "typing", data: { symbol: "X", cents: 1 } });',
    names: ['"typing"', '"message"'],
    at: "event:",
  },
  {
    fault: "data of another type",
    code: 'hub.publish("news", { event: "headline", data: { title: 5 } });',
    names: ["'number'", "'string'"],
    at: "title:",
  },
  {
    fault: "data of another event of the channel",
    code: 'hub.publish("chat", { event: "typing", data: "x" });',
    names: ["'string'", "'null'"],
    at: "data:",
  },
  {
    fault: "a property of the data that is misspelt",
    code: 'hub.publish("news", { event: "headline", data: { title: "a", urgnet: true } });',
    names: ["'urgnet'", "Did you mean to write 'urgent'?"],
    at: "urgnet",
  },
  {
    fault: "a property of the data that is missing",
    code: 'hub.publish("prices", { data: { symbol: "X" } });',
    names: ["'cents'", "'Price'"],
    at: "data:",
  },
  {
    fault: "no data",
    code: 'hub.publish("prices", { event: "message" });',
    names: ["'data'"],
    at: '{ event: "message" }',
  },
  {
    fault: "no event on a channel that has no `message`",
    code: 'hub.publish("news", { data: { title: "a" } });',
    names: ["'event'", "missing"],
    at: "{ data:",
  },
  {
    fault: "a string on a channel whose `message` is none",
    code: 'hub.publish("prices", "text");',
    names: ["'string'", "Price"],
    at: '"text"',
  },
  {
    fault: "an id",
    code: 'hub.publish("prices", { id: "1", data: { symbol: "X", cents: 1 } });',
    names: ["'id'"],
    at: "id:",
  },
  {
    fault: "wrong data through a channel of a template",
    code: 'hub.channel("user:1").publish({ event: "mail", data: { form: "a" } });',
    names: ["'form'"],
    at: "form",
  },
  {
    fault: "an unknown channel that is read",
    code: 'hub.read("sport");',
    names: ['"sport"', '"news"', "`user:${string}`"],
    at: '"sport"',
  },
  {
    fault: "an unknown channel among several that are read",
    code: 'hub.read(["news", "sport"]);',
    names: ['"sport"', '"news"'],
    at: '["news"',
  },
  {
    fault: "an unknown option of `read`",
    code: 'hub.read("news", { since: "e.1" });',
    names: ["'since'"],
    at: "since:",
  },
  {
    fault: "a map whose channel has no events",
    code: "createHub<{ news: string }>();",
    names: ["news", "string"],
    at: "{ news: string }",
  },
];

/** With channels that are registered: on `session`, which is `res.sse` of Express or `reply.sse` of Fastify. */
const REGISTERED_PROGRAMS: readonly WrongProgram[] = [
  {
    fault: "an unknown channel in `subscribe`",
    code: 'session.subscribe("sport");',
    names: ['"sport"', '"news"', "`user:${string}`"],
    at: '"sport"',
  },
  {
    fault: "an unknown channel among several",
    code: 'session.subscribe(["news", "sport"]);',
    names: ['"sport"', '"news"', "`user:${string}`"],
    at: '["news"',
  },
  {
    fault: "an unknown channel in `unsubscribe`",
    code: 'session.unsubscribe("sport");',
    names: ['"sport"', '"news"'],
    at: '"sport"',
  },
  {
    fault: "an event that is misspelt in `snapshot`",
    code: 'session.subscribe("news", { snapshot: () => [{ event: "headlines", data: { title: "a" } }] });',
    names: ["'event'", '"headline"'],
    at: "snapshot:",
  },
  {
    fault: "a field that is misspelt in `snapshot`",
    code: 'session.subscribe("news", { snapshot: async () => [{ event: "headline", data: { titel: "a" } }] });',
    names: ["'title'", "titel"],
    at: "snapshot:",
  },
  {
    fault: "an unknown channel in `publish`",
    code: 'session.hub.publish("sport", "a");',
    names: ['"sport"', '"news"'],
    at: '"sport"',
  },
  {
    fault: "an event that is misspelt in `publish`",
    code: 'session.hub.publish("news", { event: "headlines", data: { title: "a" } });',
    names: ['"headlines"', `Did you mean '"headline"'?`],
    at: "event:",
  },
  {
    fault: "a field that is misspelt in `publish`",
    code: 'session.hub.publish("news", { event: "headline", data: { title: "a", urgnet: true } });',
    names: ["'urgnet'", "Did you mean to write 'urgent'?"],
    at: "urgnet",
  },
  {
    fault: "an unknown channel in `channel`",
    code: 'session.hub.channel("sport");',
    names: ['"sport"', '"news"'],
    at: '"sport"',
  },
];

/** With channels that are registered: routes in one line. */
const ROUTE_PROGRAMS: readonly WrongProgram[] = [
  {
    fault: "an unknown channel in `sseHandler`",
    code: 'sseHandler("sport");',
    names: ['"sport"', '"news"', "`user:${string}`"],
    at: '"sport"',
  },
  {
    fault: "an unknown channel that a function gives to `sseHandler`",
    code: 'sseHandler(async () => ["sport"]);',
    names: ['"sport"', '"news"'],
    at: "async",
  },
  {
    fault: "an unknown option of `sseHandler`",
    code: 'sseHandler("news", { last: 5 });',
    names: ["'last'"],
    at: "last:",
  },
  {
    fault: "an event that is misspelt in the snapshot of `sseHandler`",
    code: 'sseHandler("news", { snapshot: () => [{ event: "headlines", data: { title: "a" } }] });',
    names: ['"headline"', "'event'"],
    at: "snapshot:",
  },
  {
    fault: "a field that is misspelt in the snapshot of `sseHandler`",
    code: 'sseHandler("news", { snapshot: () => [{ event: "headline", data: { titel: "a" } }] });',
    names: ["'title'", "titel"],
    at: "snapshot:",
  },
];

/** On a stream of the client. */
const CLIENT_PROGRAMS: readonly WrongProgram[] = [
  {
    fault: "an event that is misspelt",
    code: 'stream.on("headlines", () => {});',
    names: ['"headlines"', '"headline"'],
    at: '"headlines"',
  },
  {
    fault: "an event of no channel",
    code: 'stream.on("goal", () => {});',
    names: ['"goal"', '"headline"', '"mail"'],
    at: '"goal"',
  },
  {
    fault: "a field that is misspelt",
    code: 'stream.on("headline", (data) => data.titel);',
    names: ["'titel'", "Did you mean 'title'?"],
    at: "titel",
  },
  {
    fault: "a field that is misspelt where it is taken apart",
    code: 'stream.on("headline", ({ titel }) => titel);',
    names: ["'titel'", "title: string"],
    at: "titel",
  },
  {
    fault: "a field of another type",
    code: 'stream.on("headline", (data) => data.title.toFixed());',
    names: ["'toFixed'", "'string'"],
    at: "toFixed",
  },
];

/** With the hooks for React, and a stream of them. */
const REACT_PROGRAMS: readonly WrongProgram[] = [
  {
    fault: "an event that is misspelt",
    code: "useEvents(stream, { headlines: () => {} });",
    names: ["'headlines'", "Did you mean to write 'headline'?"],
    at: "headlines",
  },
  {
    fault: "a field that is misspelt",
    code: "useEvents(stream, { headline: (data) => data.titel });",
    names: ["'titel'", "Did you mean 'title'?"],
    at: "titel",
  },
  {
    fault: "a field of another type",
    code: 'useEvents(useStream<Channels>("/events"), { headline: ({ title }) => title.toFixed() });',
    names: ["'toFixed'", "'string'"],
    at: "toFixed",
  },
  {
    fault: "an option that does not exist",
    code: 'useStream<Channels>("/events", { heartbeat: 5 });',
    names: ["'heartbeat'"],
    at: "heartbeat",
  },
];

const IMPORTED = JSON.stringify(join(ROOT, "test/types/accepted.ts"));

const REGISTERED = `import type { Channels } from ${IMPORTED};
declare module "@tidewire/core" { interface Register { channels: Channels } }
`;

/** Code before an expression: in the last of these lines, or before it. */
const PRELUDES: Readonly<Record<string, string>> = {
  "a hub": `import { createHub } from "@tidewire/core";
import type { Channels } from ${IMPORTED};
const hub = createHub<Channels>();
void hub;
`,
  "the client": `import { connect } from "@tidewire/client";
import type { Channels } from ${IMPORTED};
const stream = connect<Channels>("http://localhost/");
void stream;
`,
  React: `import { useEvents, useStream } from "@tidewire/client/react";
import type { StreamHandle } from "@tidewire/client/react";
import type { Channels } from ${IMPORTED};
declare const stream: StreamHandle<Channels>;
void [stream, useEvents, useStream];
`,
  Express: `${REGISTERED}import { sseHandler } from "@tidewire/express";
import type { Response } from "express";
declare const response: Response;
const session = response.sse;
void [session, sseHandler];
`,
  Fastify: `${REGISTERED}import "@tidewire/fastify";
import type { FastifyReply } from "fastify";
declare const reply: FastifyReply;
const session = reply.sse;
`,
};

describe.each([
  ["a hub", PROGRAMS],
  ["Express", [...REGISTERED_PROGRAMS, ...ROUTE_PROGRAMS]],
  ["Fastify", REGISTERED_PROGRAMS],
  ["the client", CLIENT_PROGRAMS],
  ["React", REACT_PROGRAMS],
])("The compiler error, with %s, of", (binding, programs) => {
  const folder = mkdtempSync(join(tmpdir(), "tidewire-types-"));
  const prelude = PRELUDES[binding] ?? "";
  const lastLine = prelude.split("\n").length;
  /** Messages by the number of the program, each with its further lines. */
  const messages = new Map<number, { column: number; text: string }[]>();

  beforeAll(() => {
    writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
    for (const [index, { code }] of programs.entries()) {
      writeFileSync(join(folder, `wrong-${index}.ts`), `${prelude}void ${code}\n`);
    }
    const paths = {
      express: "node_modules/@types/express/index.d.ts",
      fastify: "node_modules/fastify/fastify.d.ts",
      "@tidewire/client": "packages/client/dist/index.d.ts",
      "@tidewire/client/react": "packages/client/dist/react.d.ts",
      "@tidewire/core": "packages/core/dist/index.d.ts",
      "@tidewire/express": "packages/express/dist/index.d.ts",
      "@tidewire/fastify": "packages/fastify/dist/index.d.ts",
    };
    const config = {
      extends: join(ROOT, "tsconfig.base.json"),
      compilerOptions: {
        composite: false,
        declaration: false,
        declarationMap: false,
        isolatedDeclarations: false,
        sourceMap: false,
        noEmit: true,
        allowImportingTsExtensions: true,
        typeRoots: [join(ROOT, "node_modules/@types")],
        paths: Object.fromEntries(
          Object.entries(paths).map(([name, path]) => [name, [join(ROOT, path)]]),
        ),
      },
      include: ["*.ts"],
    };
    writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(config));
    const { output } = compile(join(folder, "tsconfig.json"));
    const pattern = /wrong-(\d+)\.ts\((\d+),(\d+)\): (error[^\n]*(?:\n +[^\n]*)*)/g;
    for (const [, index, line, column, text] of output.matchAll(pattern)) {
      if (Number(line) !== lastLine) {
        throw new Error(`An error where there should be none: ${output}`);
      }
      const list = messages.get(Number(index)) ?? [];
      messages.set(Number(index), list);
      list.push({ column: Number(column) - 1, text: text ?? "" });
    }
  });

  afterAll(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  it.each(programs.map((program, index) => [program.fault, program, index] as const))(
    "%s names what is wrong and where",
    (_fault, { code, names, at }, index) => {
      const [message, ...more] = messages.get(index) ?? [];
      expect(more).toEqual([]);
      for (const name of names) expect(message?.text).toContain(name);
      expect(`void ${code}`.slice(message?.column).startsWith(at), message?.text).toBe(true);
    },
  );
});
