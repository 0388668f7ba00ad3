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

/** Runs the compiler, as a person does. */
function compile(project: string): { status: number | null; output: string } {
  const { status, stdout, stderr, error } = spawnSync(
    COMPILER,
    ["--noEmit", "--pretty", "false", "--project", project],
    { cwd: ROOT, encoding: "utf8" },
  );
  if (error !== undefined) throw error;
  return { status, output: `${stdout}${stderr}` };
}

describe("A map of channels", () => {
  it("lets all pass that it should, and nothing that `@ts-expect-error` expects to fail", () => {
    expect(compile("test/types/tsconfig.json")).toEqual({ status: 0, output: "" });
  });

  it("changes nothing at run time: what compiles is published", async () => {
    const published = await publishTyped(createHub<Channels>(), "1");
    expect(published).toHaveLength(16);
    expect(published.at(-1)).toBe("news 0");
  });

  it("is not needed: without one everything is accepted", async () => {
    await expect(publishUntyped(createHub(), "x")).resolves.toBe(5);
  });
});

/** A program that must not compile, and what a person has to be told: in the message, or at the place it points to. */
interface WrongProgram {
  readonly fault: string;
  readonly code: string;
  /** What the message has to name. */
  readonly names: readonly string[];
  /** What stands where the message points to. */
  readonly at: string;
}

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
    fault: "a map whose channel has no events",
    code: "createHub<{ news: string }>();",
    names: ["news", "string"],
    at: "{ news: string }",
  },
];

describe("What the compiler says of", () => {
  const folder = mkdtempSync(join(tmpdir(), "tidewire-types-"));
  const prelude = `import { createHub } from "@tidewire/core";
import type { Channels } from ${JSON.stringify(join(ROOT, "test/types/accepted.ts"))};
const hub = createHub<Channels>();
void hub;
`;
  /** Messages by the number of the program, each with its further lines. */
  const messages = new Map<number, { column: number; text: string }[]>();

  beforeAll(() => {
    writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
    for (const [index, { code }] of PROGRAMS.entries()) {
      writeFileSync(join(folder, `wrong-${index}.ts`), `${prelude}void ${code}\n`);
    }
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
        paths: { "@tidewire/core": [join(ROOT, "packages/core/dist/index.d.ts")] },
      },
      include: ["*.ts"],
    };
    writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(config));
    const { output } = compile(join(folder, "tsconfig.json"));
    const pattern = /wrong-(\d+)\.ts\((\d+),(\d+)\): (error[^\n]*(?:\n +[^\n]*)*)/g;
    for (const [, index, line, column, text] of output.matchAll(pattern)) {
      if (Number(line) !== 5) throw new Error(`An error where there should be none: ${output}`);
      const list = messages.get(Number(index)) ?? [];
      messages.set(Number(index), list);
      list.push({ column: Number(column) - 1, text: text ?? "" });
    }
  });

  afterAll(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  it.each(PROGRAMS.map((program, index) => [program.fault, program, index] as const))(
    "%s names what is wrong and where",
    (_fault, { code, names, at }, index) => {
      const [message, ...more] = messages.get(index) ?? [];
      expect(more).toEqual([]);
      for (const name of names) expect(message?.text).toContain(name);
      expect(`void ${code}`.slice(message?.column).startsWith(at), message?.text).toBe(true);
    },
  );
});
