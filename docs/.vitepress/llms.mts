// Writes llms.txt, llms-full.txt and the Markdown of every page into the built site, for programs that read the docs.
// https://llmstxt.org has the format of llms.txt.
import fs from "node:fs";
import path from "node:path";
import type { DefaultTheme, SiteConfig } from "vitepress";

const HEADING = /^# (.+)$/m;

/** The address of the site, for absolute links: `https://example.com/docs`. */
const SITE = (process.env["DOCS_URL"] ?? "").replace(/\/$/, "");

/** Writes the files. The pages and their order are those of the sidebar. */
export function writeLlmsFiles({ srcDir, outDir, site }: SiteConfig<DefaultTheme.Config>): void {
  const sections = site.themeConfig.sidebar as DefaultTheme.SidebarItem[];
  const index = [`# ${site.title}`, `> ${site.description}`];
  const full = [...index];
  for (const { text, items = [] } of sections) {
    const pages = flatten(items).map(({ link = "" }) => readPage(srcDir, link));
    const lines = pages.map(
      ({ file, title, summary }) =>
        `- [${title}](${SITE}/${file})${summary === "" ? "" : `: ${summary}`}`,
    );
    index.push(`## ${text}`, lines.join("\n"));
    for (const { file, body } of pages) {
      full.push(body);
      fs.mkdirSync(path.dirname(path.join(outDir, file)), { recursive: true });
      fs.writeFileSync(path.join(outDir, file), `${body}\n`);
    }
  }
  fs.writeFileSync(path.join(outDir, "llms.txt"), `${index.join("\n\n")}\n`);
  fs.writeFileSync(path.join(outDir, "llms-full.txt"), `${full.join("\n\n")}\n`);
}

function flatten(items: readonly DefaultTheme.SidebarItem[]): DefaultTheme.SidebarItem[] {
  return items.flatMap((item) => [item, ...flatten(item.items ?? [])]);
}

interface Page {
  /** From the root of the site: `guide/channels.md`. */
  readonly file: string;
  readonly title: string;
  /** `description` of the frontmatter, else the first sentence; empty if the page begins with code or a table. */
  readonly summary: string;
  /** The page without frontmatter, comments and IDs of headings, with the files that it includes. */
  readonly body: string;
}

function readPage(srcDir: string, link: string): Page {
  const file = `${link.replace(/^\//, "").replace(/\/$/, "/index")}.md`;
  const text = fs.readFileSync(path.join(srcDir, file), "utf8");
  const body = text
    .replace(/^---\n[\s\S]*?\n---\n/, "")
    .replaceAll(/^<!--.*-->\n\n?/gm, "")
    .replaceAll(/ \{#[\w-]+\}$/gm, "")
    .replaceAll(/^<<< (@\/)?(\S+)$/gm, (_include, fromTop: string | undefined, name: string) => {
      const included = path.resolve(
        fromTop === undefined ? path.dirname(`${srcDir}/${file}`) : srcDir,
        name,
      );
      return `\`\`\`${path.extname(name).slice(1)}\n${fs.readFileSync(included, "utf8").trimEnd()}\n\`\`\``;
    })
    .trim();
  const [, title = file] = HEADING.exec(body) ?? [];
  const afterTitle = body.replace(HEADING, "").trim();
  const [paragraph = ""] = afterTitle.split("\n\n");
  const isProse = /^[\w`*"[]/.test(paragraph) && !paragraph.startsWith("```");
  const [sentence = ""] = /^[\s\S]*?[.:](?=\s|$)/.exec(paragraph) ?? [paragraph];
  const [, description] =
    /^description: (.+)$/m.exec(/^---\n[\s\S]*?\n---\n/.exec(text)?.[0] ?? "") ?? [];
  const summary =
    description ??
    (isProse
      ? sentence
          .replaceAll(/\s+/g, " ")
          // A relative link leads nowhere from the index.
          .replaceAll(/\[([^\]]+)\]\([^)]+\)/g, "$1")
          .replace(/:$/, ".")
      : "");
  return { file, title: title.replaceAll("`", ""), summary, body };
}
