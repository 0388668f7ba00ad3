// Reads the code blocks of Markdown, and the comments before them that tell check-docs.mjs how to check them.
import fs from "node:fs";
import path from "node:path";

export const ROOT = path.resolve(import.meta.dirname, "../..");

/** Every Markdown file that is checked: the READMEs, the files beside the one at the root, and the site. */
export function findPages() {
  const inRoot = fs.readdirSync(ROOT).filter((name) => name.endsWith(".md"));
  const inFolders = ["packages", "examples"].flatMap((folder) =>
    fs.readdirSync(path.join(ROOT, folder)).map((name) => `${folder}/${name}/README.md`),
  );
  const inDocs = fs
    .readdirSync(path.join(ROOT, "docs"), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".md"))
    .filter((name) => !/(^|\/)(node_modules|\.vitepress|reference\/api)\//.test(name))
    .map((name) => `docs/${name}`);
  const exists = (page) => fs.existsSync(path.join(ROOT, page));
  return [...inRoot, ...inFolders, ...inDocs].filter(exists);
}

/**
 * Reads the blocks of a page.
 *
 * @returns For each: `page`, `line` of its first line of code, `language`, `code`, and `marks`: the comments before it
 *   by their first word, `{ needs: ["app"], continues: [] }`.
 */
export function readBlocks(page) {
  const lines = fs.readFileSync(path.join(ROOT, page), "utf8").split("\n");
  const blocks = [];
  let open;
  for (const [index, line] of lines.entries()) {
    const [, indent = "", fence, info = ""] = /^(\s*)(`{3,})(.*)$/.exec(line) ?? [];
    if (open === undefined) {
      if (fence === undefined) continue;
      const [language = ""] = /^[\w-]*/.exec(info);
      const marks = marksBefore(lines, index);
      open = { page, line: index + 2, language, marks, code: [], indent, fence };
    } else if (fence?.startsWith(open.fence) && info.trim() === "") {
      const { indent: margin, code, fence: _fence, ...block } = open;
      const text = code.map((each) => (each.startsWith(margin) ? each.slice(margin.length) : each));
      blocks.push({ ...block, code: text.join("\n") });
      open = undefined;
    } else open.code.push(line);
  }
  if (open !== undefined) throw new Error(`${page}:${open.line - 1}: the block does not end`);
  return blocks;
}

/** The comments right before a block, `<!-- continues -->` and `<!-- needs: app, add -->`. */
function marksBefore(lines, index) {
  const marks = {};
  for (let at = index - 1; at >= 0; at--) {
    const line = lines[at].trim();
    if (line === "") continue;
    const [, name, list = ""] = /^<!-- ([a-z]+)(?:: (.*?))? -->$/.exec(line) ?? [];
    if (name === undefined) break;
    marks[name] = list === "" ? [] : list.split(/,\s*/);
  }
  return marks;
}
