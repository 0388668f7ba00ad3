import { randomBytes } from "node:crypto";
import { fileURLToPath } from "node:url";

/** Folder of the page's files, in the sources. This file runs from `examples/dist/showcase`. */
export const PAGE_DIRECTORY = fileURLToPath(new URL("../../showcase/page/", import.meta.url));

/** Files of the page, with their media types. */
export const PAGE_FILES: ReadonlyMap<string, string> = new Map([
  ["index.html", "text/html; charset=utf-8"],
  ["style.css", "text/css; charset=utf-8"],
  ["app.js", "text/javascript; charset=utf-8"],
  ["parser.js", "text/javascript; charset=utf-8"],
]);

const VISITOR = /(?:^|;\s*)visitor=([0-9a-f]{6})(?:;|$)/;

/** Reads the cookie made by {@link makeVisitorCookie}; `undefined` without one. */
export function readVisitor(cookies: string | undefined): string | undefined {
  return VISITOR.exec(cookies ?? "")?.[1];
}

/** Makes a cookie that shows the page whether credentials also reach the other server. */
export function makeVisitorCookie(): string {
  return `visitor=${randomBytes(3).toString("hex")}; Path=/; HttpOnly; SameSite=Lax`;
}
