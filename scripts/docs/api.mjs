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

/**
 * Writes the reference: a page for each entry point, and their index.
 *
 * @returns How many `pages` and exported `symbols` it has.
 * @throws If typedoc warns, or if an exported symbol has no heading on the page of its entry point.
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
  rewritePages();
  writeIndex(entries);

  const symbols = app.getEntryPoints().flatMap(({ program, sourceFile }) => {
    const { name } = entries.find(({ source }) => source === sourceFile.fileName);
    return exportsOf(program, sourceFile).map((symbol) => ({ page: pageOf(name), symbol }));
  });
  const missing = symbols.filter(({ page, symbol }) => !headingsOf(page).has(symbol));
  if (missing.length > 0) throw new Error(`Not in the reference: ${JSON.stringify(missing)}`);
  return { pages: entries.length, symbols: symbols.length };
}

/**
 * The entry points, read from `exports`: the `name` that programs import, its `purpose`, its `source`, and the `folder` that
 * typedoc names it after.
 */
function findEntries() {
  return fs.readdirSync(PACKAGES).flatMap((name) => {
    const folder = path.join(PACKAGES, name);
    const manifest = JSON.parse(fs.readFileSync(path.join(folder, "package.json"), "utf8"));
    return Object.entries(manifest.exports).flatMap(([entry, { types }]) => {
      if (types === undefined) return [];
      const source = path.join(folder, types.replace("./dist/", "src/").replace(".d.ts", ".ts"));
      const relative = path.relative(PACKAGES, source).replace(/(\/index)?\.ts$/, "");
      const [, comment = ""] = /^\/\*\*([^:.]*)/.exec(fs.readFileSync(source, "utf8")) ?? [];
      return [
        {
          name: path.posix.join(manifest.name, entry),
          purpose:
            entry === "."
              ? manifest.description
              : `${comment.replaceAll(/\s+\*?\s*/g, " ").trim()}.`,
          source,
          folder: relative,
        },
      ];
    });
  });
}

/** The page of an entry point: `core-log.md` for `@tidewire/core/log`. */
function pageOf(name) {
  return `${name.replace("@tidewire/", "").replaceAll(/[/.]/g, "-")}.md`;
}

/** These pages are not in the repository. */
const NOT_EDITABLE = "---\neditLink: false\n---\n\n";

/** Headings that occur under every symbol, which would fill the search results. */
const LABEL =
  /^#{4,6} (Parameters|Returns|Throws|Default Value|See|Inherited from|Overrides|Extends|Type Parameters|Type Declaration|Get Signature|Call Signature)$/gm;

/** Gives the pages short names, where typedoc writes `@tidewire.core.log.md`, and makes labels of repeated headings. */
function rewritePages() {
  for (const file of fs.readdirSync(TARGET)) {
    const text = fs.readFileSync(path.join(TARGET, file), "utf8");
    fs.rmSync(path.join(TARGET, file));
    let sections = 0;
    const linked = text
      .replaceAll(LABEL, "**$1**")
      // The anchors that typedoc's links lead to become the IDs of their headings. The other headings get other IDs.
      .replaceAll(/^<a id="([^"]+)"><\/a>\n\n(#+ .*)$/gm, "$2 {#$1}")
      .replaceAll(/^#{2,} [^{\n]*$/gm, (heading) => `${heading} {#section-${++sections}}`)
      .replaceAll(/\(@tidewire\.([\w.]+)\.md/g, (_link, name) => `(${pageOf(name)}`);
    const name = file.replace("@tidewire.", "").replace(/\.md$/, "");
    fs.writeFileSync(path.join(TARGET, pageOf(name)), `${NOT_EDITABLE}${linked}`);
  }
}

function writeIndex(entries) {
  const list = entries.map(({ name, purpose }) => `- [\`${name}\`](${pageOf(name)}): ${purpose}`);
  const text = "# API\n\nEvery exported symbol, by the entry point that programs import.\n\n";
  fs.writeFileSync(path.join(TARGET, "index.md"), `${NOT_EDITABLE}${text}${list.join("\n")}\n`);
}

/** The exports as the compiler sees them. */
function exportsOf(program, sourceFile) {
  const checker = program.getTypeChecker();
  const module = checker.getSymbolAtLocation(sourceFile);
  return checker.getExportsOfModule(module).map(({ name }) => name);
}

function headingsOf(page) {
  const text = fs.readFileSync(path.join(TARGET, page), "utf8");
  return new Set([...text.matchAll(/^### (\w+)/gm)].map(([, name]) => name));
}
