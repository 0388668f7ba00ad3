// Checks the anchors of links in the built site. VitePress checks only that the page exists.
import fs from "node:fs";
import path from "node:path";

/**
 * @param folder - The built site.
 * @returns `faults`: each link to a heading that its page does not have; `count`: how many links have an anchor.
 */
export function checkAnchors(folder) {
  const pages = fs
    .readdirSync(folder, { recursive: true })
    .filter((name) => name.endsWith(".html"))
    .map((name) => ({
      url: `/${name.replace(/(index)?\.html$/, "")}`,
      html: fs.readFileSync(path.join(folder, name), "utf8"),
    }));
  const ids = new Map(
    pages.map(({ url, html }) => [
      url,
      new Set([...html.matchAll(/ id="([^"]*)"/g)].map(([, id]) => id)),
    ]),
  );
  const links = pages.flatMap(({ url, html }) =>
    [...html.matchAll(/ href="([^"#]*)#([^"]+)"/g)]
      .map(([, target, anchor]) => ({ url, target, anchor: decodeURIComponent(anchor) }))
      .filter(({ target }) => !/^[a-z]+:/.test(target)),
  );
  const faults = links.flatMap(({ url, target, anchor }) => {
    const { pathname } = new URL(target, `http://site${url}`);
    const page = target === "" ? url : pathname.replace(/(index)?\.html$/, "");
    return ids.get(page)?.has(anchor)
      ? []
      : [`${url} links to ${page}#${anchor}, which does not exist`];
  });
  return { faults: [...new Set(faults)], count: links.length };
}
