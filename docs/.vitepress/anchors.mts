// Finds links to headings that do not exist, in the pages as they were built: VitePress itself looks for pages only.
import fs from "node:fs";
import path from "node:path";

/**
 * Checks the links of a built site.
 *
 * @param directory - The built site.
 * @throws {Error} If a link leads to a heading that does not exist; names all of these.
 */
export function checkAnchors(directory: string): void {
  const files = fs
    .readdirSync(directory, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".html"));
  const pages = new Map(
    files.map((name) => [
      `/${name.replaceAll(path.sep, "/").replace(/(^|\/)index\.html$|\.html$/, "$1")}`,
      fs.readFileSync(path.join(directory, name), "utf8"),
    ]),
  );
  const faults = new Set<string>();
  for (const [page, html] of pages) {
    for (const [, href = ""] of html.matchAll(/<a [^>]*href="([^"]*#[^"]+)"/g)) {
      const { pathname, hash, origin } = new URL(href, `http://site${page}`);
      if (origin !== "http://site") continue;
      const target = pages.get(pathname);
      // A page that does not exist is a dead link, which VitePress reports.
      if (target === undefined || target.includes(`id="${decodeURIComponent(hash.slice(1))}"`)) {
        continue;
      }
      faults.add(`${page} links to ${pathname}${hash}`);
    }
  }
  if (faults.size > 0) throw new Error(`Headings that do not exist:\n${[...faults].join("\n")}`);
}
