import { describe, expect, it } from "vitest";
import { findLayerFaults, importsOf } from "./imports.js";
import { PACKAGES, readSources, withoutComments } from "./sources.js";
import type { Source } from "./sources.js";

/** Imports in core go strictly down this list. A new file needs a place in it. */
const LAYERS: readonly (readonly string[])[] = [
  ["errors"],
  [
    "message",
    "log",
    "encode",
    "chunk",
    "frame-slab",
    "frame",
    "accept",
    "head",
    "last-event-id",
    "cors",
  ],
  ["options", "subscribe-options"],
  ["sink", "exchange", "direct-write", "node-sink", "heartbeat"],
  ["reception", "source", "pump", "opening", "session"],
  ["memory-log", "window"],
  [
    "channel",
    "channel-set",
    "subscription",
    "batch",
    "backfill",
    "publisher",
    "delivery",
    "broker",
    "stats",
  ],
  ["hub"],
  ["index"],
];

/** The only files that may keep a timer: delivery for its turns, the hub for its drain. */
const WITH_TIMERS = ["delivery", "heartbeat", "hub"];
/** The only files that may touch connections at run time. */
const WITH_SOCKETS = ["direct-write", "node-sink"];
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
  it("imports only down its layers, types included, and never in a circle", () => {
    expect(findLayerFaults(core, LAYERS)).toEqual([]);
  });

  it("has a file for every name in the list", () => {
    expect(core.map(({ name }) => name).toSorted()).toEqual(LAYERS.flat().toSorted());
  });

  it("touches the network where it writes to a response alone", () => {
    expect(namesOf(core, importsNetwork)).toEqual(WITH_SOCKETS);
  });

  it("keeps timers in the heartbeat, the turns of delivery and the drain of the hub alone", () => {
    expect(namesOf(core, keepsTimer).toSorted()).toEqual(WITH_TIMERS);
  });

  it("knows no framework and no other package of the project", () => {
    const from = core.flatMap((source) => importsOf(source).map((one) => one.from));
    expect(from.filter((name) => /^(?:@tidewire\/|express|fastify|redis)/.test(name))).toEqual([]);
  });
});

describe.each(PACKAGES.filter((name) => name !== "core"))("The package %s", (name) => {
  const sources = readSources(name);
  const from = sources.flatMap((source) => importsOf(source).map((one) => one.from));

  it("imports the core by its public entry and no other package of the project", () => {
    expect(new Set(from.filter((one) => one.includes("tidewire")))).toEqual(
      new Set(["@tidewire/core"]),
    );
  });

  it("imports nothing from outside its own folder by a path", () => {
    expect(from.filter((one) => one.startsWith("..") || one.startsWith("/"))).toEqual([]);
  });
});

describe("findLayerFaults", () => {
  const layers = [["errors"], ["encode", "frame"], ["session"]];

  it("finds nothing in imports that go down or sideways", () => {
    const sources = [
      file("errors", ""),
      file("encode", 'import { SseError } from "./errors.js";'),
      file("frame", 'import { encode } from "./encode.js";\nimport { x } from "node:fs";'),
      file("session", 'import type { Framing } from "./frame.js";'),
    ];
    expect(findLayerFaults(sources, layers)).toEqual([]);
  });

  it.each([
    ["a value", 'import { Session } from "./session.js";'],
    ["a type", 'import type { Session } from "./session.js";'],
    ["a type among values", 'import { a, type Session } from "./session.js";'],
    ["over several lines", 'import {\n  a,\n  Session,\n} from "./session.js";'],
    ["a namespace", 'import * as session from "./session.js";'],
    ["a default", 'import session from "./session.js";'],
    ["for its effects", 'import "./session.js";'],
    ["a re-export", 'export { Session } from "./session.js";'],
    ["a re-export of types", 'export type { Session } from "./session.js";'],
    ["a re-export of all", 'export * from "./session.js";'],
    ["a dynamic import", 'const session = await import("./session.js");'],
    ["the type of an import", 'let session: import("./session.js").Session;'],
  ])("finds an import that goes up: %s", (_name, text) => {
    expect(findLayerFaults([file("encode", text)], layers)).toEqual([
      "encode imports session, which is above it",
    ]);
  });

  it("finds an import in the core that goes up when it is added", () => {
    const changed = core.map(({ name, text }) =>
      file(name, name === "encode" ? `import type { Hub } from "./hub.js";\n${text}` : text),
    );
    expect(findLayerFaults(changed, LAYERS)).toEqual(["encode imports hub, which is above it"]);
  });

  it("finds a circle within a layer", () => {
    const sources = [
      file("encode", 'import { a } from "./frame.js";'),
      file("frame", 'import { b } from "./encode.js";'),
    ];
    expect(findLayerFaults(sources, layers)).toEqual([
      "encode imports itself through its own layer",
      "frame imports itself through its own layer",
    ]);
  });

  it("finds a file without a place and an import of one", () => {
    const sources = [file("helpers", ""), file("session", 'import { a } from "./helpers.js";')];
    expect(findLayerFaults(sources, layers)).toEqual([
      "helpers has no place in the list of layers",
      "session imports ./helpers.js, which is in no layer",
    ]);
  });

  it("does not take a comment for an import", () => {
    const text = '// import { a } from "./session.js";\n/*\nimport { b } from "./session.js";\n*/';
    expect(findLayerFaults([file("encode", text)], layers)).toEqual([]);
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
