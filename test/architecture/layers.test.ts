import path from "node:path/posix";
import { describe, expect, it } from "vitest";
import { findLayerFaults, folderOf, importsOf } from "./imports.js";
import { PACKAGES, readSources, withoutComments } from "./sources.js";
import type { Source } from "./sources.js";

/** The folders of the core are its architecture: each imports only from those before it. */
const FOLDERS: readonly string[] = [
  "errors",
  "http",
  "log",
  "wire",
  "options",
  "outlet",
  "session",
  "delivery",
  "presence",
  "hub",
  "adapter",
  "index",
];

/** Entry points of the core. */
const ENTRIES: ReadonlySet<string> = new Set([
  "@tidewire/core",
  "@tidewire/core/adapter",
  "@tidewire/core/log",
]);

/** Packages with a store of tapes, whose contract belongs to the runs. */
const STORES: ReadonlySet<string> = new Set(["redis"]);

/** The only files that may keep a timer. */
const WITH_TIMERS = [
  "delivery/idle-trim",
  "delivery/late-events",
  "delivery/turns",
  "hub/hold",
  "hub/hub-session",
  "hub/keep-alive",
  "hub/revalidation",
  "hub/shutdown",
  "options/print-errors",
  "outlet/heartbeat",
  "outlet/last-bytes",
  "outlet/pace",
  "outlet/unread-body",
  "presence/presence",
];
/** The only files that may touch connections at run time. */
const WITH_SOCKETS = ["outlet/direct-write", "outlet/node-sink"];
const NETWORK = /^(?:node:)?(?:http|https|http2|net|tls)$/;
const TIMERS = /\b(?:setTimeout|setInterval|setImmediate)\b|"(?:node:)?timers(?:\/promises)?"/;

const core = readSources("core");

function file(name: string, text: string): Source {
  return { name, text };
}

function namesOf(sources: readonly Source[], has: (source: Source) => boolean): string[] {
  return sources.filter(has).map(({ name }) => name);
}

function importsNetwork(source: Source): boolean {
  return importsOf(source).some(({ from, isType }) => !isType && NETWORK.test(from));
}

function keepsTimer({ text }: Source): boolean {
  return TIMERS.test(withoutComments(text));
}

describe("The core", () => {
  it("imports only from folders before it, types included, and never in a cycle", () => {
    expect(findLayerFaults(core, FOLDERS)).toEqual([]);
  });

  it("has a file for every name in the list", () => {
    expect(new Set(core.map(({ name }) => folderOf(name)))).toEqual(new Set(FOLDERS));
  });

  it("keeps sessions and delivery apart: only the hub knows both", () => {
    const folders = ["session", "delivery"];
    const across = core.flatMap((source) =>
      importsOf(source)
        .filter(({ from }) => from.startsWith("../") && folders.includes(folderOf(from.slice(3))))
        .filter(() => folders.includes(folderOf(source.name)))
        .map(({ from }) => `${source.name} imports ${from}`),
    );
    expect(across).toEqual([]);
  });

  it("touches the network only where it writes to a response", () => {
    expect(namesOf(core, importsNetwork).toSorted()).toEqual(WITH_SOCKETS);
  });

  it("keeps timers only in files whose purpose is time", () => {
    expect(namesOf(core, keepsTimer).toSorted()).toEqual(WITH_TIMERS);
  });

  it("knows no framework and no other package of the project", () => {
    const from = core.flatMap((source) => importsOf(source).map((one) => one.from));
    expect(from.filter((name) => /^(?:@tidewire\/|express|fastify|redis)/.test(name))).toEqual([]);
  });
});

describe("The client", () => {
  const sources = readSources("client");

  const importersOf = (name: string): string[] =>
    namesOf(sources, (source) => importsOf(source).some(({ from }) => from === name));

  it("imports its own files and the parser, and nothing else: it runs in browsers", () => {
    const from = sources.flatMap((source) => importsOf(source).map((one) => one.from));
    expect(new Set(from.filter((one) => !/^\.{1,2}\/(?:share\/)?[\w-]+\.js$/.test(one)))).toEqual(
      new Set(["eventsource-parser", "react"]),
    );
  });

  it("keeps React in one file, which only those import who ask for it", () => {
    expect(importersOf("react")).toEqual(["react"]);
    expect(importersOf("./react.js")).toEqual([]);
  });

  it("keeps its timers in one file, and those of shared streams in two others", () => {
    expect(namesOf(sources, keepsTimer)).toEqual(["alarm", "share/member", "share/shared-machine"]);
  });

  it("is loaded without the part for tabs that share, and that part without the rest", () => {
    const across = sources.flatMap((source) => {
      const isShared = source.name.startsWith("share/");
      const leads = isShared ? /^\.\.\// : /^\.\/share\//;
      return importsOf(source)
        .filter(({ from, isType }) => !isType && leads.test(from))
        .map(({ from }) => `${source.name} → ${from}`);
    });
    expect(across).toEqual(["connect → ./share/shared-machine.js"]);
  });

  it("has no cycle of imports", () => {
    const inOneFolder = sources.map(({ name, text }) => file(`client/${name}`, text));
    expect(findLayerFaults(inOneFolder, ["client"])).toEqual([]);
  });
});

/** The packages that build on the core. */
const ON_THE_CORE = PACKAGES.filter((name) => name !== "core" && name !== "client");

describe.each(ON_THE_CORE)("The package %s", (name) => {
  const sources = readSources(name);
  const entries = new Set([...ENTRIES, ...(STORES.has(name) ? ["@tidewire/runs/tapes"] : [])]);
  const from = sources.flatMap((source) => importsOf(source).map((one) => one.from));

  it("imports the core through its public entries and of the other packages only a contract that it implements", () => {
    const own = from.filter((one) => one.includes("tidewire"));
    expect(own).toContain("@tidewire/core");
    expect(own.filter((one) => !entries.has(one))).toEqual([]);
  });

  it("imports nothing from outside its folder by path", () => {
    const paths = sources.flatMap((source) =>
      importsOf(source)
        .filter((one) => one.from.startsWith(".") || one.from.startsWith("/"))
        .map((one) => path.join(path.dirname(source.name), one.from)),
    );
    const files = new Set(sources.map((source) => `${source.name}.js`));
    expect(paths.filter((one) => !files.has(one))).toEqual([]);
  });
});

describe("findLayerFaults", () => {
  const folders = ["errors", "wire", "session"];
  const others = [file("errors", ""), file("wire/frame", ""), file("session/session", "")];

  it("finds no fault in imports that point up the list or stay in their folder", () => {
    const sources = [
      file("errors", ""),
      file("wire/encode", 'import { SseError } from "../errors.js";'),
      file("wire/frame", 'import { encode } from "./encode.js";\nimport { x } from "node:fs";'),
      file("session/session", 'import type { Framing } from "../wire/frame.js";'),
    ];
    expect(findLayerFaults(sources, folders)).toEqual([]);
  });

  it.each([
    ["a value", 'import { Session } from "../session/session.js";'],
    ["a type", 'import type { Session } from "../session/session.js";'],
    ["a type among values", 'import { a, type Session } from "../session/session.js";'],
    ["over several lines", 'import {\n  a,\n  Session,\n} from "../session/session.js";'],
    ["a namespace", 'import * as session from "../session/session.js";'],
    ["a default", 'import session from "../session/session.js";'],
    ["for its effects", 'import "../session/session.js";'],
    ["a re-export", 'export { Session } from "../session/session.js";'],
    ["a re-export of types", 'export type { Session } from "../session/session.js";'],
    ["a re-export of all", 'export * from "../session/session.js";'],
    ["a dynamic import", 'const session = await import("../session/session.js");'],
    ["the type of an import", 'let session: import("../session/session.js").Session;'],
  ])("finds an import from a later folder: %s", (_name, text) => {
    expect(findLayerFaults([...others, file("wire/encode", text)], folders)).toEqual([
      "wire/encode imports session/session, which comes after it",
    ]);
  });

  it("finds an import that points down when it is added to the core", () => {
    const changed = core.map(({ name, text }) =>
      file(
        name,
        name === "wire/encode" ? `import type { Hub } from "../hub/hub.js";\n${text}` : text,
      ),
    );
    expect(findLayerFaults(changed, FOLDERS)).toEqual([
      "wire/encode imports hub/hub, which comes after it",
    ]);
  });

  it("finds a cycle within a folder", () => {
    const sources = [
      file("wire/encode", 'import { a } from "./frame.js";'),
      file("wire/frame", 'import { b } from "./encode.js";'),
    ];
    expect(findLayerFaults(sources, folders)).toEqual([
      "wire/encode imports itself through its own folder",
      "wire/frame imports itself through its own folder",
    ]);
  });

  it("finds a file that is not in the list and an import of a missing file", () => {
    const sources = [
      file("helpers", ""),
      file("session/session", 'import { a } from "./gone.js";'),
    ];
    expect(findLayerFaults(sources, folders)).toEqual([
      "helpers is not in the list of folders",
      "session/session imports ./gone.js, which does not exist",
    ]);
  });

  it("does not take a comment for an import", () => {
    const text =
      '// import { a } from "../session/session.js";\n/*\nimport { b } from "../session/session.js";\n*/';
    expect(findLayerFaults([...others, file("wire/encode", text)], folders)).toEqual([]);
  });
});

describe("The checks of network and timers", () => {
  it("see a value import and let a type import pass", () => {
    expect(importsNetwork(file("x", 'import { request } from "node:http";'))).toBe(true);
    expect(importsNetwork(file("x", 'import net from "net";'))).toBe(true);
    expect(importsNetwork(file("x", 'import type { Socket } from "node:net";'))).toBe(false);
  });

  it("see a timer in the code and not in a comment", () => {
    expect(keepsTimer(file("x", "setTimeout(run, 1);"))).toBe(true);
    expect(
      keepsTimer(file("x", 'import { setTimeout as wait } from "node:timers/promises";')),
    ).toBe(true);
    expect(keepsTimer(file("x", "// setTimeout would hold the process\n/* setImmediate */"))).toBe(
      false,
    );
  });
});
