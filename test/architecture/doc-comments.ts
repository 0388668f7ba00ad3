import { withoutComments } from "./sources.js";
import type { Source } from "./sources.js";

const DOC_COMMENT = /\/\*\*(?:[^*]|\*(?!\/))*\*\/\s*$/;

/**
 * Finds the names that a source exports, including re-exports.
 *
 * @returns Each name with the module it comes from; `undefined` if it is declared here.
 */
export function exportsOf({ text }: Source): { name: string; from: string | undefined }[] {
  const code = withoutComments(text);
  const lists = [...code.matchAll(/^export\s+(?:type\s+)?\{([^}]*)\}(?:\s*from\s*"([^"]+)")?/gm)];
  const declarations = [...code.matchAll(declarationOf("([A-Za-z_$][\\w$]*)"))];
  return [
    ...lists.flatMap(([, list, from]) =>
      (list ?? "")
        .split(",")
        .map((entry) => entry.trim().replace(/^type\s+/, ""))
        .filter((entry) => entry !== "")
        .map((entry) => ({ name: entry.split(/\s+as\s+/)[0] ?? entry, from })),
    ),
    ...declarations.map(([, name]) => ({ name: name ?? "", from: undefined })),
  ];
}

/** Tells whether the exported declaration of a name directly follows a doc comment. */
export function isDocumented({ text }: Source, name: string): boolean {
  const [declaration] = text.matchAll(declarationOf(name.replaceAll("$", "\\$")));
  return declaration !== undefined && DOC_COMMENT.test(text.slice(0, declaration.index));
}

/**
 * Finds the properties of an interface that have no doc comment.
 *
 * @returns Their names, and how many properties there are in all.
 */
export function undocumentedProperties(
  { text }: Source,
  name: string,
): { names: string[]; count: number } {
  const start = text.search(new RegExp(`^export interface ${name}\\b[^{]*\\{$`, "m"));
  const end = text.indexOf("\n}", start);
  const body = start === -1 ? "" : text.slice(start, end);
  const properties = [...body.matchAll(/^ {2}(?:readonly )?([A-Za-z]\w*)\??[:(]/gm)];
  return {
    names: properties
      .filter(({ index }) => !DOC_COMMENT.test(body.slice(0, index)))
      .map(([, property]) => property ?? ""),
    count: properties.length,
  };
}

function declarationOf(name: string): RegExp {
  return new RegExp(
    `^export (?:declare )?(?:abstract )?(?:async )?(?:class|function\\*?|interface|type|const|let|enum) ${name}(?![\\w$])`,
    "gm",
  );
}
