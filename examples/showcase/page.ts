import { randomBytes } from "node:crypto";
import { fileURLToPath } from "node:url";

/** Where the page's files are: they are served from the sources, this file runs from `examples/dist/showcase`. */
export const PAGE_DIRECTORY = fileURLToPath(new URL("../../showcase/page/", import.meta.url));

/** The files of the page and their types. */
export const PAGE_FILES: ReadonlyMap<string, string> = new Map([
  ["index.html", "text/html; charset=utf-8"],
  ["style.css", "text/css; charset=utf-8"],
  ["app.js", "text/javascript; charset=utf-8"],
  ["parser.js", "text/javascript; charset=utf-8"],
]);

const VISITOR = /(?:^|;\s*)visitor=([0-9a-f]{6})(?:;|$)/;

/** Reads the cookie that {@link makeVisitorCookie} made. */
export function readVisitor(cookies: string | undefined): string | undefined {
  return VISITOR.exec(cookies ?? "")?.[1];
}

/** Makes a cookie by which the page can tell that credentials reach the other server too. */
export function makeVisitorCookie(): string {
  return `visitor=${randomBytes(3).toString("hex")}; Path=/; HttpOnly; SameSite=Lax`;
}
