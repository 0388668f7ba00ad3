// The documentation site: `docs:build` builds it, `docs:dev` serves it.
import fs from "node:fs";
import path from "node:path";
import type { DefaultTheme, MarkdownRenderer } from "vitepress";
import { defineConfig } from "vitepress";
import { writeLlmsFiles } from "./llms.mjs";

const REPOSITORY = "https://github.com/tidewire/tidewire";
const DOCS = path.resolve(import.meta.dirname, "..");
const ROOT = path.resolve(DOCS, "..");

/** The sections in the order of the sidebar, with the first pages of each. Other pages of the folder follow by name. */
const SECTIONS: readonly { title: string; folder: string; first: readonly string[] }[] = [
  {
    title: "Guide",
    folder: "guide",
    first: [
      "getting-started",
      "channels",
      "replay",
      "state",
      "reading",
      "sessions",
      "runs",
      "authorization",
      "identity",
      "presence",
      "limits",
      "errors",
      "testing",
    ],
  },
  {
    title: "Operate",
    folder: "operate",
    first: ["proxies", "shutdown", "scaling", "observability", "sizing", "benchmarks"],
  },
  {
    title: "Clients",
    folder: "clients",
    first: ["client", "react", "browser", "tabs", "fetch", "node", "matrix"],
  },
  {
    title: "Recipes",
    folder: "recipes",
    first: [
      "index",
      "job-progress",
      "export",
      "llm-answer",
      "ai-sdk",
      "tanstack-ai",
      "openai",
      "login",
      "notifications",
      "presence",
      "rate-limit",
      "stream-log",
      "outbox",
      "stock-alerts",
      "nestjs",
      "hono",
      "koa",
      "trpc",
      "graphql",
      "mcp",
      "htmx",
      "turbo",
      "openapi",
    ],
  },
  {
    title: "Migrate from",
    folder: "migrate",
    first: ["better-sse", "express-sse", "fastify-sse", "fastify-sse-v2", "hand-written"],
  },
  {
    title: "Reference",
    folder: "reference",
    first: ["api/index", "options", "errors", "wire", "redis"],
  },
  {
    title: "Contribute",
    folder: "contribute",
    first: ["architecture", "delivery", "logs", "adapters"],
  },
];

// oxlint-disable-next-line import/no-default-export -- VitePress reads the default export.
export default defineConfig({
  title: "Tidewire",
  description: "Server-Sent Events for Express and Fastify that never lose an event silently.",
  lang: "en",
  cleanUrls: true,
  head: [["link", { rel: "icon", type: "image/svg+xml", href: "/logo.svg" }]],
  markdown: { config: linkToRepository },
  buildEnd: writeLlmsFiles,
  // The index of the search is one chunk, loaded when somebody searches.
  vite: { build: { chunkSizeWarningLimit: 2_000 } },
  ignoreDeadLinks: [/^http:\/\/localhost/],
  themeConfig: {
    logo: { src: "/logo.svg", alt: "" },
    search: {
      provider: "local",
      options: { miniSearch: { searchOptions: { boostDocument, processTerm } } },
    },
    notFound: {
      title: "This page does not exist",
      quote:
        "The address may be misspelled, or the page may have moved. Search for it, or start at the home page.",
      linkText: "Home page",
      linkLabel: "Go to the home page",
    },
    outline: [2, 3],
    externalLinkIcon: true,
    socialLinks: [{ icon: "github", link: REPOSITORY }],
    editLink: { pattern: `${REPOSITORY}/edit/main/docs/:path`, text: "Edit this page" },
    nav: nav(),
    sidebar: sidebar(),
  },
});

/**
 * Ranks the guide and the options above the reference, which repeats each word in many places. The browser gets the text
 * of this function: it must not use anything from outside.
 */
function boostDocument(id: string): number {
  // The second heading of the same text: the first is the usual case.
  if (/#.*-\d+$/.test(id)) return 0.5;
  if (/\/guide\//.test(id)) return 3;
  if (/\/reference\/(options|errors)/.test(id)) return 2;
  return /\/reference\/api\/|\/contribute\/|\/clients\/matrix/.test(id) ? 0.5 : 1;
}

/** Leaves words out of a query that every page has. The browser gets the text of this function, too. */
function processTerm(term: string): string | null {
  return /^(?:a|an|and|do|for|how|i|in|is|of|on|the|to|with)$/i.test(term)
    ? null
    : term.toLowerCase();
}

function nav(): DefaultTheme.NavItem[] {
  const inMenu = ["Migrate from", "Contribute"];
  const [bar, menu] = [
    SECTIONS.filter(({ title }) => !inMenu.includes(title)),
    SECTIONS.filter(({ title }) => inMenu.includes(title)),
  ].map((sections) =>
    sections.flatMap(({ title, folder, first }) => {
      const [page] = pagesOf(folder, first);
      return page === undefined
        ? []
        : [{ text: title, link: linkTo(page), activeMatch: `^/${folder}/` }];
    }),
  );
  return [
    ...(bar ?? []),
    {
      text: "More",
      items: [
        ...(menu ?? []),
        { text: "Changelog", link: `${REPOSITORY}/blob/main/CHANGELOG.md` },
        { text: "Contributing", link: `${REPOSITORY}/blob/main/CONTRIBUTING.md` },
      ],
    },
  ];
}

/** One sidebar for all pages. Only the guide is unfolded; VitePress unfolds the section of the current page as well. */
function sidebar(): DefaultTheme.SidebarItem[] {
  return SECTIONS.flatMap(({ title, folder, first }) => {
    const items = pagesOf(folder, first).map((page) => ({
      text: titleOf(page),
      link: linkTo(page),
      // The pages of the entry points, which `docs:build` writes.
      ...(page === "reference/api/index" ? { collapsed: true, items: apiItems() } : {}),
    }));
    return items.length === 0 ? [] : [{ text: title, collapsed: folder !== "guide", items }];
  });
}

function apiItems(): DefaultTheme.SidebarItem[] {
  return pagesOf("reference/api", [])
    .filter((page) => !page.endsWith("/index"))
    .map((page) => ({ text: titleOf(page), link: linkTo(page) }));
}

/** @returns The pages of a folder that exist, as paths from `docs/` without `.md`. */
function pagesOf(folder: string, first: readonly string[]): string[] {
  const directory = path.join(DOCS, folder);
  if (!fs.existsSync(directory)) return [];
  const all = fs
    .readdirSync(directory)
    .filter((name) => name.endsWith(".md"))
    .map((name) => name.slice(0, -".md".length));
  const rest = all.filter((name) => !first.includes(name)).toSorted();
  return [...first, ...rest]
    .map((name) => `${folder}/${name}`)
    .filter((page) => fs.existsSync(path.join(DOCS, `${page}.md`)));
}

/** @returns The name of a page in the sidebar: `sidebar` of its frontmatter, else its first heading. */
function titleOf(page: string): string {
  const text = fs.readFileSync(path.join(DOCS, `${page}.md`), "utf8");
  const [, title] = /^sidebar: (.+)$/m.exec(text) ?? /^# (.+)$/m.exec(text) ?? [];
  if (title === undefined) throw new Error(`Expected a heading in docs/${page}.md`);
  return title.replaceAll(/["`]/g, "");
}

function linkTo(page: string): string {
  return `/${page.replace(/(^|\/)index$/, "$1")}`;
}

/** Lets pages link to files outside `docs/` by relative path: such a link leads to the repository, and has to exist. */
function linkToRepository(md: MarkdownRenderer): void {
  const render = md.renderer.rules["link_open"];
  md.renderer.rules["link_open"] = (tokens, index, options, env, self) => {
    const token = tokens[index];
    const href = token?.attrGet("href") ?? "";
    const [target = "", hash] = href.split("#");
    if (target.startsWith(".")) {
      const page = (env as { path: string }).path;
      const file = path.resolve(path.dirname(page), target);
      const isOutside = path.relative(DOCS, file).startsWith("..");
      if (isOutside) {
        if (!fs.existsSync(file)) throw new Error(`${page} links to ${href}, which does not exist`);
        const kind = fs.statSync(file).isDirectory() ? "tree" : "blob";
        const suffix = hash === undefined ? "" : `#${hash}`;
        const fromRoot = path.relative(ROOT, file);
        token?.attrSet("href", `${REPOSITORY}/${kind}/main/${fromRoot}${suffix}`);
      }
    }
    return render === undefined || render === null
      ? self.renderToken(tokens, index, options)
      : render(tokens, index, options, env, self);
  };
}
