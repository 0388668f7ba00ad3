// Writes docs/reference/api, the reference of every entry point, from the doc comments.
import fs from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { ROOT } from "./blocks.mjs";

const DOCS = path.join(ROOT, "docs");
const PACKAGES = path.join(ROOT, "packages");
const TARGET = path.join(DOCS, "reference/api");

// typedoc is a dependency of docs/, beside the version of TypeScript that it needs.
const { resolve } = createRequire(path.join(DOCS, "package.json"));
const { Application, Converter } = await import(pathToFileURL(resolve("typedoc")).href);

/** The purpose of each entry point, and the page that shows it in use. */
const INTRODUCTIONS = {
  "@tidewire/client": {
    purpose: "The client for browsers and Node: a stream that comes back.",
    guide: "[The client](../../clients/client.md) shows it in use",
  },
  "@tidewire/client/react": {
    purpose: "Hooks for React: `useStream`, `useEvents` and `useStatus`.",
    guide: "[React](../../clients/react.md) shows them in use",
  },
  "@tidewire/core": {
    purpose: "Hubs, sessions, channels and their options, for `node:http` and every framework.",
    guide:
      "[Getting started](../../guide/getting-started.md) and [Channels](../../guide/channels.md) show them in use",
  },
  "@tidewire/core/adapter": {
    purpose:
      "Functions and types for an adapter to another framework, and for packages that build on sessions.",
    guide: "[Write an adapter](../../contribute/adapters.md) shows how to use them",
  },
  "@tidewire/core/log": {
    purpose: "The contract of a log, and the log in memory.",
    guide: "[Write a log](../../contribute/logs.md) shows how to implement the contract",
  },
  "@tidewire/express": {
    purpose: "The middleware `sse()` and the route `sseHandler()` for Express.",
    guide:
      "[Getting started](../../guide/getting-started.md) and [Channels](../../guide/channels.md) show them in use",
  },
  "@tidewire/express/bare": {
    purpose: "`@tidewire/express` without `res.sse` in the types of Express.",
    guide: "[Several hubs](../../guide/hubs.md) shows when to use it",
    isSame: true,
  },
  "@tidewire/fastify": {
    purpose: "The plugin `ssePlugin` and the route `sseHandler()` for Fastify.",
    guide:
      "[Getting started](../../guide/getting-started.md) and [Channels](../../guide/channels.md) show them in use",
  },
  "@tidewire/fastify/bare": {
    purpose: "`@tidewire/fastify` without `reply.sse` and `fastify.sse` in the types of Fastify.",
    guide: "[Several hubs](../../guide/hubs.md) shows when to use it",
    isSame: true,
  },
  "@tidewire/metrics": {
    purpose: "Metrics of hubs and runs for Prometheus and OpenTelemetry.",
    guide: "[Observability](../../operate/observability.md) shows them in use",
  },
  "@tidewire/redis": {
    purpose: "A log on a Redis stream, and a publisher for processes without clients.",
    guide: "[Many nodes](../../operate/scaling.md) shows them in use",
  },
  "@tidewire/runs": {
    purpose: "Runs: answers that are produced once and followed by any number of streams.",
    guide: "[Answers that survive a reconnect](../../guide/runs.md) shows them in use",
  },
  "@tidewire/runs/tapes": {
    purpose: "The contract of a store of tapes, and what it is built from.",
    guide: "[Answers that survive a reconnect](../../guide/runs.md) explains runs and tapes",
  },
  "@tidewire/testing": {
    purpose: "Streams under test, a log that fails on command, and the suite for logs.",
    guide: "[Testing](../../guide/testing.md) shows them in use",
  },
};

/**
 * Writes the reference: a page for each entry point, and their index.
 *
 * @returns How many `pages` and exported `symbols` it has.
 * @throws If typedoc warns, or if an exported symbol is not on the page of its entry point.
 */
export async function writeApi() {
  const entries = findEntries();
  const app = await Application.bootstrapWithPlugins({
    plugin: ["typedoc-plugin-markdown"],
    tsconfig: path.join(DOCS, "typedoc.tsconfig.json"),
    entryPoints: entries.map(({ source }) => source),
    out: TARGET,
    name: "API",
    readme: "none",
    logLevel: "Warn",
    excludeInternal: true,
    excludePrivate: true,
    excludeExternals: true,
    disableSources: true,
    router: "module",
    groupOrder: ["Functions", "Variables", "Classes", "Interfaces", "Type Aliases", "*"],
    flattenOutputFiles: true,
    entryFileName: "index",
    hideBreadcrumbs: true,
    hidePageHeader: true,
    sanitizeComments: true,
    useHTMLAnchors: true,
    useCodeBlocks: true,
    parametersFormat: "table",
  });
  app.converter.on(Converter.EVENT_RESOLVE_BEGIN, ({ project }) => {
    // typedoc names a module after its path: `core/src/log` for packages/core/src/log/index.ts.
    for (const module of project.children) {
      module.name = entries.find(({ folder }) => folder === module.name).name;
    }
  });
  const project = await app.convert();
  if (project === undefined) throw new Error("typedoc cannot read the sources");
  app.validate(project);
  await app.generateOutputs(project);
  if (app.logger.errorCount + app.logger.warningCount > 0) throw new Error("typedoc warns");
  rewritePages(entries);
  writeIndex(entries);

  const symbols = app.getEntryPoints().flatMap(({ program, sourceFile }) => {
    const { name } = entries.find(({ source }) => source === sourceFile.fileName);
    return exportsOf(program, sourceFile).map((symbol) => ({ page: pageOf(name), symbol }));
  });
  const missing = symbols.filter(({ page, symbol }) => !symbolsOf(page).has(symbol));
  if (missing.length > 0) throw new Error(`Not in the reference: ${JSON.stringify(missing)}`);
  return { pages: entries.length, symbols: symbols.length };
}

/**
 * The entry points, read from `exports`: the `name` that programs import, its introduction, its `source`, and the `folder`
 * that typedoc names it after.
 */
function findEntries() {
  return fs.readdirSync(PACKAGES).flatMap((directory) => {
    const folder = path.join(PACKAGES, directory);
    const manifest = JSON.parse(fs.readFileSync(path.join(folder, "package.json"), "utf8"));
    return Object.entries(manifest.exports).flatMap(([entry, { types }]) => {
      if (types === undefined) return [];
      const source = path.join(folder, types.replace("./dist/", "src/").replace(".d.ts", ".ts"));
      const relative = path.relative(PACKAGES, source).replace(/(\/index)?\.ts$/, "");
      const name = path.posix.join(manifest.name, entry);
      const introduction = INTRODUCTIONS[name];
      if (introduction === undefined) throw new Error(`Expected an introduction for ${name}`);
      return [{ name, ...introduction, source, folder: relative }];
    });
  });
}

/** The page of an entry point: `core-log.md` for `@tidewire/core/log`. */
function pageOf(name) {
  return `${name.replace("@tidewire/", "").replaceAll(/[/.]/g, "-")}.md`;
}

/** These pages are not in the repository. One that only repeats another stays out of the search. */
function frontmatter({ isSame = false } = {}) {
  return `---\neditLink: false\n${isSame ? "search: false\n" : ""}---\n\n`;
}

/** Headings that occur under every symbol, which would fill the search results. */
const LABEL =
  /^#{4,6} (Parameters|Returns|Throws|Default Value|See|Inherited from|Overrides|Extends|Type Parameters|Type Declaration|Get Signature|Call Signature)$/gm;

/** The symbols that an entry point exports from another package, where typedoc writes a heading for each. */
const REFERENCES = /^## References\n([\s\S]*)$/m;

/** Gives the pages short names, where typedoc writes `@tidewire.core.log.md`, and an order for reading from the top. */
function rewritePages(entries) {
  for (const file of fs.readdirSync(TARGET)) {
    const text = fs.readFileSync(path.join(TARGET, file), "utf8");
    fs.rmSync(path.join(TARGET, file));
    const entry = entries.find(
      ({ name }) => text.includes(`\n# ${name}\n`) || text.startsWith(`# ${name}\n`),
    );
    if (entry === undefined) continue;
    let sections = 0;
    const linked = withoutRepeats(text)
      .replace(/^# .*$/m, (title) => `${title}\n\n${entry.purpose} ${entry.guide}.`)
      .replace(REFERENCES, (_section, references) => listReferences(entry, references))
      .replaceAll(LABEL, "**$1**")
      // The anchors that typedoc's links lead to become the IDs of their headings. The other headings get other IDs.
      .replaceAll(/^<a id="([^"]+)"><\/a>\n\n(#+ .*)$/gm, "$2 {#$1}")
      .replaceAll(/^#{2,} [^{\n]*$/gm, (heading) => `${heading} {#section-${++sections}}`)
      .replaceAll(/\(@tidewire\.([\w.]+)\.md/g, (_link, name) => `(${pageOf(name)}`);
    fs.writeFileSync(path.join(TARGET, pageOf(entry.name)), `${frontmatter(entry)}${linked}`);
  }
}

/** @returns One list of the links, instead of a heading for each symbol. */
function listReferences({ isSame }, references) {
  const links = [
    ...references.matchAll(/^(?:Re-exports|Renames and re-exports) \[(\w+)\](\(.*\))$/gm),
  ];
  return `## ${isSame ? "Exports" : "Also exported"}\n\n${links.map(([, name, target]) => `- [\`${name}\`]${target}`).join("\n")}\n`;
}

/**
 * typedoc repeats a description for each overload, and for the call of a function that is an interface. A paragraph that
 * directly follows a signature is left out if the same symbol has had it.
 */
function withoutRepeats(text) {
  let seen = new Set();
  let isCode = false;
  let isAfterSignature = false;
  return text
    .split("\n\n")
    .filter((paragraph) => {
      const isInside = isCode;
      if ((paragraph.match(/^ *```/gm)?.length ?? 0) % 2 === 1) isCode = !isCode;
      if (isInside || paragraph.startsWith("```")) {
        isAfterSignature = !isCode;
        return true;
      }
      if (/^#{2,3} /.test(paragraph)) seen = new Set();
      // Labels, tables, headings and anchors end a description.
      if (/^(#|\*\*|\||<a |\*\*\*$)/.test(paragraph)) {
        isAfterSignature = false;
        return true;
      }
      if (isAfterSignature && seen.has(paragraph)) return false;
      seen.add(paragraph);
      return true;
    })
    .join("\n\n");
}

function writeIndex(entries) {
  const list = entries.map(({ name, purpose }) => `- [\`${name}\`](${pageOf(name)}): ${purpose}`);
  const text = [
    '---\neditLink: false\nprev: { text: "Migrate from a hand-written route", link: "/migrate/hand-written" }\n---',
    "# API",
    "Every exported symbol, by the entry point that programs import. [Options](../options.md) lists the options with their defaults, and [Errors](../errors.md) the error codes.",
    list.join("\n"),
  ];
  fs.writeFileSync(path.join(TARGET, "index.md"), `${text.join("\n\n")}\n`);
}

/** The exports as the compiler sees them. */
function exportsOf(program, sourceFile) {
  const checker = program.getTypeChecker();
  const module = checker.getSymbolAtLocation(sourceFile);
  return checker.getExportsOfModule(module).map(({ name }) => name);
}

/** The symbols with a heading, or with a link to the page that has it. */
function symbolsOf(page) {
  const text = fs.readFileSync(path.join(TARGET, page), "utf8");
  return new Set([...text.matchAll(/^(?:### |- \[`)(\w+)/gm)].map(([, name]) => name));
}
