// Finds the prose of the tree: comments, names of tests, messages of errors, and Markdown without its code.
import path from "node:path";

/** Strings, templates and regular expressions come first: they may hold what looks like a comment. */
const TOKEN =
  /"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\.)*`|(?<=[=(,:]\s*)\/(?![/*])(?:[^/\\\n[]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/|\/\/[^\n]*|\/\*[\s\S]*?\*\//g;
/** Before a string: a call that makes it the name of a test. */
const TEST_NAME = /\b(?:it|test|describe|property|bench)(?:\.\w+)*(?:\([^()]*\))?\(\s*$/;
const HASH_COMMENT = new Set([".py", ".sh", ".yml", ".yaml", ""]);

/**
 * Reads the prose of a file.
 *
 * @param file - Its path from the root.
 * @returns Paragraphs: `text` in one line with code masked, `raw` the same unmasked, `lineAt(index)` of a place in both, and
 *   `isTitle` for headings and cells of tables.
 */
export function readProse(file, text) {
  const extension = path.extname(file);
  if (extension === ".md") return readMarkdown(text);
  if (HASH_COMMENT.has(extension)) return readHashComments(text);
  return readCode(text, /^(packages\/[^/]+|bench)\/src\//.test(file));
}

/** @param hasMessages - Whether the file makes error messages or text of a page: then its strings of several words are prose too. */
function readCode(text, hasMessages) {
  const paragraphs = [];
  let lines = [];
  const flush = () => {
    paragraphs.push(...paragraphsOf(lines));
    lines = [];
  };
  let end = 0;
  for (const { 0: token, index } of text.matchAll(TOKEN)) {
    const between = text.slice(end, index);
    const line = lineOf(text, index);
    if (token.startsWith("//")) {
      // Lines that follow one another are one paragraph.
      if (between.trim() !== "" || between.split("\n").length > 2) flush();
      lines.push({ line, text: token.slice(2) });
    } else {
      flush();
      if (token.startsWith("/*")) {
        const inner = token.replace(/^\/\*+/, "").replace(/\*+\/$/, "");
        lines = inner.split("\n").map((each, offset) => ({
          line: line + offset,
          text: each.replace(/^\s*\*/, ""),
        }));
        flush();
      } else if (/^["'`]/.test(token)) {
        const isName = TEST_NAME.test(text.slice(Math.max(0, index - 200), index));
        const isMessage = hasMessages && /\w \w+ \w/.test(token);
        if (isName || isMessage) {
          paragraphs.push(...paragraphsOf([{ line, text: withoutSlots(token.slice(1, -1)) }]));
        }
      }
    }
    end = index + token.length;
  }
  flush();
  return paragraphs;
}

function readHashComments(text) {
  const paragraphs = [];
  let lines = [];
  for (const [index, line] of text.split("\n").entries()) {
    const [, comment] = /^\s*#(?!!)(.*)$/.exec(line) ?? [];
    if (comment !== undefined) lines.push({ line: index + 1, text: comment });
    else {
      paragraphs.push(...paragraphsOf(lines));
      lines = [];
    }
  }
  return [...paragraphs, ...paragraphsOf(lines)];
}

function readMarkdown(text) {
  const paragraphs = [];
  let lines = [];
  let fence;
  let isFrontmatter = text.startsWith("---\n");
  const flush = (isTitle = false) => {
    paragraphs.push(...paragraphsOf(lines).map((each) => ({ ...each, isTitle })));
    lines = [];
  };
  for (const [index, raw] of text.split("\n").entries()) {
    const line = index + 1;
    const [, mark] = /^\s*(```+)/.exec(raw) ?? [];
    if (isFrontmatter) {
      const [, value] = /^\s*(?:- )?(?:text|tagline|title|details): (.*)$/.exec(raw) ?? [];
      if (value !== undefined) lines.push({ line, text: value });
      flush();
      if (index > 0 && raw === "---") isFrontmatter = false;
    } else if (fence !== undefined) {
      if (mark?.startsWith(fence)) fence = undefined;
      // The comments of a program are for readers of the page.
      const [, comment] = /(?:^|\s)\/\/ (.*)$/.exec(raw) ?? [];
      if (comment !== undefined) lines.push({ line, text: comment });
      flush();
    } else if (mark !== undefined) {
      flush();
      fence = mark;
    } else if (/^#+ /.test(raw)) {
      flush();
      lines.push({ line, text: raw.replace(/^#+ /, "") });
      flush(true);
    } else if (/^\s*\|/.test(raw)) {
      flush();
      for (const cell of raw.split(/(?<!\\)\|/)) {
        lines.push({ line, text: cell });
        flush(true);
      }
    } else if (/^\s*(?:[-*]|\d+\.) /.test(raw)) {
      flush();
      lines.push({ line, text: raw.replace(/^\s*(?:[-*]|\d+\.) /, "") });
    } else if (raw.trim() === "" || raw.startsWith("<!--")) flush();
    else lines.push({ line, text: raw });
  }
  flush();
  return paragraphs;
}

/** Joins lines up to the next blank line or tag of a doc comment. */
function paragraphsOf(lines) {
  const groups = [[]];
  for (const { line, text } of lines) {
    if (text.trim() === "") groups.push([]);
    else {
      const [tag = ""] =
        /^\s*@(?:param|typeParam)\s+\S+\s+-?\s*|^\s*@throws\s+\{\w+\}\s*|^\s*@\w+\s*/.exec(text) ??
        [];
      const [item = ""] = /^\s*(?:[-*]|\d+\.)\s+/.exec(text) ?? [];
      if (tag !== "" || item !== "") groups.push([]);
      groups.at(-1).push({ line, text: text.slice(tag.length || item.length) });
    }
  }
  return groups.filter((group) => group.length > 0).map(joinLines);
}

function joinLines(lines) {
  const starts = [];
  let text = "";
  for (const { line, text: part } of lines) {
    starts.push({ line, index: text.length });
    text += `${part.trim()} `;
  }
  return {
    text: withoutCode(text).trimEnd(),
    raw: text,
    lineAt: (index) => starts.findLast((start) => start.index <= index).line,
    isTitle: false,
  };
}

/** Code keeps its length, and stands for a noun. */
function withoutCode(text) {
  return text
    .replaceAll(/`[^`]*`/g, (code) => "X".repeat(code.length))
    .replaceAll(/\]\([^)]*\)/g, (link) => `]${" ".repeat(link.length - 1)}`)
    .replaceAll(/https?:\/\/\S+/g, (url) => "X".repeat(url.length))
    .replaceAll(/[*[\]]/g, " ");
}

function withoutSlots(text) {
  return text.replaceAll(/\$\{[^}]*\}/g, (slot) => "X".repeat(slot.length)).replaceAll("\\`", "`");
}

function lineOf(text, index) {
  let line = 1;
  for (let at = text.indexOf("\n"); at !== -1 && at < index; at = text.indexOf("\n", at + 1))
    line++;
  return line;
}
